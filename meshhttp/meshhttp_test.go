package meshhttp_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/tcpnet"
	"example.com/tcpnet/meshhttp"
)

func TestMain(m *testing.M) {
	// It is read once in a process. Nothing in here may go by it.
	os.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	goleak.VerifyTestMain(m)
}

// join makes a node on loopback, of a server with this label.
func join(t *testing.T, name, label string, services ...string) *tcpnet.Node {
	t.Helper()
	node, err := tcpnet.Join(t.Context(), tcpnet.Config{Name: name, Label: label, Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { node.Close() })
	for _, service := range services {
		ln, err := node.Listen(service)
		if err != nil {
			t.Fatal(err)
		}
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s of %s at %s", service, label, r.Host)
		})}
		done := make(chan error, 1)
		go func() { done <- s.Serve(ln) }()
		t.Cleanup(func() {
			s.Close()
			if err := <-done; !errors.Is(err, http.ErrServerClosed) {
				t.Error(err)
			}
		})
	}
	return node
}

func get(t *testing.T, c *http.Client, url string) string {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPeersAreReachedByURL(t *testing.T) {
	name := rand.Text()
	pi := join(t, name, "kitchen-pi", "http", "8080")
	laptop := join(t, name, "laptop")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := laptop.Wait(ctx, 1); err != nil {
		t.Fatal(err)
	}
	transport := meshhttp.Transport(laptop)
	defer transport.CloseIdleConnections()
	c := &http.Client{Transport: transport}
	id := string(pi.ID())
	for _, test := range []struct{ url, want string }{
		{"http://kitchen-pi.mesh/", "http of kitchen-pi at kitchen-pi.mesh"},
		{"http://Kitchen-PI.mesh/a?b", "http of kitchen-pi at Kitchen-PI.mesh"},
		{"http://kitchen-pi.mesh:80/", "http of kitchen-pi at kitchen-pi.mesh:80"},
		{"http://kitchen-pi.mesh:8080/", "8080 of kitchen-pi at kitchen-pi.mesh:8080"},
		{"http://" + id + ".mesh/", "http of kitchen-pi at " + id + ".mesh"},
	} {
		if got := get(t, c, test.url); got != test.want {
			t.Errorf("%s: %q, want %q", test.url, got, test.want)
		}
	}
	for url, want := range map[string]error{
		"http://nobody.mesh/":          tcpnet.ErrNoPeer,
		"http://laptop.mesh/":          tcpnet.ErrNoService,
		"http://kitchen-pi.mesh:8081/": tcpnet.ErrNoService,
		"https://kitchen-pi.mesh/":     tcpnet.ErrNoService,
	} {
		if _, err := c.Get(url); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", url, err, want)
		}
	}
}

func TestOthersAreReachedAsEver(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "not a peer")
	}))
	defer other.Close()
	node := join(t, rand.Text(), "alone")
	transport := meshhttp.Transport(node)
	defer transport.CloseIdleConnections()
	if got := get(t, &http.Client{Transport: transport}, other.URL); got != "not a peer" {
		t.Error(got)
	}
}

func TestNoProxyIsAskedForPeers(t *testing.T) {
	transport := meshhttp.Transport(join(t, rand.Text(), "alone"))
	proxied := func(target string) bool {
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		p, err := transport.Proxy(&http.Request{URL: u})
		return p != nil || err != nil
	}
	if proxied("http://kitchen-pi.mesh/") {
		t.Error("a proxy is asked for a peer")
	}
	if !proxied("http://example.com/") {
		t.Error("no proxy is asked for another host")
	}
}
