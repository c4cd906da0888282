package meshhttp

import (
	"encoding/json"
	"net/http"

	"example.com/tcpnet"
)

// DebugHandler returns a handler that shows a node to people and scripts: it answers
// with [tcpnet.Node.Status] as JSON, and where the URL has the query "stats", with
// [tcpnet.Node.Stats].
//
//	http.Handle("/debug/tcpnet", meshhttp.DebugHandler(node))
//
// It tells the addresses and labels of all nodes: serve it where only those can reach
// it who may know. It works on a closed node, too.
func DebugHandler(node *tcpnet.Node) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD are possible", http.StatusMethodNotAllowed)
			return
		}
		var v any
		if r.URL.Query().Has("stats") {
			v = node.Stats()
		} else {
			v = node.Status()
		}
		text, err := json.MarshalIndent(v, "", "\t")
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Write(append(text, '\n'))
	})
}
