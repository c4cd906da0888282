// Package meshhttp lets HTTP clients reach the peers of a [tcpnet.Node] by name, and
// look at the node itself (see [DebugHandler]).
//
// A server needs no help: it serves on the listener of a service.
//
//	ln, err := node.Listen("http")
//	...
//	http.Serve(ln, handler)
//
// A client uses [Transport]:
//
//	client := &http.Client{Transport: meshhttp.Transport(node)}
//	resp, err := client.Get("http://kitchen-pi.mesh/")
package meshhttp

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"example.com/tcpnet"
)

// Transport returns an [http.Transport] that reaches hosts whose names end in ".mesh"
// over node, and all others like [http.DefaultTransport]. So it can take the place of
// that, and then http.Get and everything else that uses the default reaches the peers:
//
//	http.DefaultTransport = meshhttp.Transport(node)
//
// The host is a peer's label or ID, as [tcpnet.Node.DialContext] takes it. Of a peer whose
// label has characters that no host name has, such as a space or ü, it has to be the ID. The service is
// "http" for URLs that begin with http:// and "https" for https://; with a port in the
// URL, the service is the port as text: http://kitchen-pi.mesh:8080/ is served by
// node.Listen("8080"). A proxy of the environment's is not asked for peers.
//
// Requests on the way and idle connections end when node is closed. The transport may
// be changed before its first use, except for DialContext and Proxy, without which it
// finds no peers.
func Transport(node *tcpnet.Node) *http.Transport {
	direct := &net.Dialer{Timeout: 30 * time.Second} // as http.DefaultTransport has it
	return &http.Transport{
		Proxy: func(r *http.Request) (*url.URL, error) {
			if isPeer(r.URL.Hostname()) {
				return nil, nil
			}
			return http.ProxyFromEnvironment(r)
		},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			host, port, err := net.SplitHostPort(addr)
			if err != nil || !isPeer(host) {
				return direct.DialContext(ctx, network, addr)
			}
			return node.DialContext(ctx, host, service(port))
		},
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          100,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}

// isPeer reports whether a host is reached over the mesh.
func isPeer(host string) bool {
	n := len(host) - len(tcpnet.Suffix)
	return n > 0 && strings.EqualFold(host[n:], tcpnet.Suffix)
}

// service returns the service that a port stands for.
func service(port string) string {
	switch port {
	case "80":
		return "http"
	case "443":
		return "https"
	}
	return port
}
