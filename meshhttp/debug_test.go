package meshhttp_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/meshhttp"
)

func TestDebugHandler(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	name := "debug-" + rand.Text()
	var nodes []*tcpnet.Node
	for range 2 {
		n, err := tcpnet.Join(ctx, tcpnet.Config{Name: name, Addr: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		nodes = append(nodes, n)
	}
	a, b := nodes[0], nodes[1]
	if err := a.Wait(ctx, 1); err != nil {
		t.Fatal(err)
	}
	h := meshhttp.DebugHandler(a)
	get := func(url string, v any) {
		t.Helper()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", url, nil))
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d, %v", url, w.Code, w.Header())
		}
		if err := json.Unmarshal(w.Body.Bytes(), v); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	var status tcpnet.Status
	get("/anywhere", &status)
	if status.ID != a.ID() || len(status.Peers) != 1 || status.Peers[0].ID != b.ID() {
		t.Errorf("status: %+v", status)
	}
	var stats tcpnet.Stats
	get("/anywhere?stats", &stats)
	if stats.Connected != 1 || stats.Joined != 1 {
		t.Errorf("stats: %+v", stats)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/", nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") == "" {
		t.Errorf("POST: %d, %v", w.Code, w.Header())
	}
	a.Close()
	get("/", &status)
}
