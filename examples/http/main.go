// Http shares a directory with everybody in the cluster, and shows theirs: every node
// serves its own to its peers over HTTP, and a page for your browser, which lists the
// peers and reaches all of them.
//
//	go run ./examples/http -dir ~/Public
//
// Only the page needs an address, and only for the browser: nodes reach one another by
// the names of peers, as in http://kitchen-pi.mesh/.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/meshhttp"
)

func main() {
	name := flag.String("name", "http-example", "the cluster's name")
	addr := flag.String("addr", ":0", "where to listen for other nodes")
	label := flag.String("label", "", "what others see of this node (default the host's name)")
	dir := flag.String("dir", ".", "the directory to share")
	page := flag.String("page", "127.0.0.1:0", "where to show the page")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	cfg := tcpnet.Config{Name: *name, Addr: *addr, Label: *label, Handler: idle}
	if secret, ok := os.LookupEnv("TCPNET_SECRET"); ok { // an empty one is an error of Join
		cfg.Secrets = [][]byte{[]byte(secret)}
	}
	if err := run(ctx, cfg, *dir, *page); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// idle takes the connections that every two nodes have, for which there is no use here:
// HTTP has its own streams. It reads, to hear when a peer leaves.
func idle(c *tcpnet.Conn) {
	io.Copy(io.Discard, c)
	c.Close()
}

// run takes part until ctx ends.
func run(ctx context.Context, cfg tcpnet.Config, dir, page string) error {
	node, err := tcpnet.Join(ctx, cfg)
	if err != nil {
		return err
	}
	defer node.Close()

	// To the peers: the directory.
	ln, err := node.Listen("http")
	if err != nil {
		return err
	}
	shared := &http.Server{Handler: http.FileServer(http.Dir(dir))}

	// To the browser: who is there, and what they share.
	local, err := net.Listen("tcp", page)
	if err != nil {
		return err
	}
	gateway := &http.Server{Handler: newGateway(node)}
	fmt.Printf("%s shares %s; see http://%s/\n", node.ID(), dir, local.Addr())

	failed := make(chan error, 2)
	go func() { failed <- shared.Serve(ln) }()
	go func() { failed <- gateway.Serve(local) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	// In this order: what runs over the node ends before it does.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return errors.Join(gateway.Shutdown(ctx), shared.Shutdown(ctx), node.Shutdown(ctx))
}

// newGateway serves the page, and /ID/ from the peer with this ID.
func newGateway(node *tcpnet.Node) http.Handler {
	proxy := &httputil.ReverseProxy{
		Transport: meshhttp.Transport(node),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: r.In.PathValue("peer") + tcpnet.Suffix, Path: "/"})
			r.Out.URL.Path = "/" + r.In.PathValue("path")
			r.Out.URL.RawPath = ""
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			status := http.StatusBadGateway
			if errors.Is(err, tcpnet.ErrNoPeer) || errors.Is(err, tcpnet.ErrAmbiguous) {
				status = http.StatusNotFound
			}
			http.Error(w, err.Error(), status)
		},
	}
	mux := http.NewServeMux()
	mux.Handle("/{peer}/{path...}", proxy)
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) {
		pageOfPeers.Execute(w, node.Status())
	})
	return mux
}

var pageOfPeers = template.Must(template.New("").Parse(`<!doctype html>
<title>{{.Name}}</title>
<h1>{{.Name}}</h1>
<ul>
<li><a href="/{{.ID}}/">{{.Label}}</a> (this one)
{{range .Peers}}<li><a href="/{{.ID}}/">{{.Label}}</a>, {{.RTT}} away
{{end}}</ul>
`))
