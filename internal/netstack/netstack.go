// Package netstack is the place where a node can be given another machine than the
// one it runs on: a host of a simulated network, in tests.
package netstack

import (
	"context"
	"io"
	"net"
	"net/netip"

	"example.com/tcpnet/internal/netwatch"
)

// Host is a machine with its network, as far as a node sees it. Its methods are
// safe for concurrent use.
//
// A Host may also have the method
//
//	MDNS() mdns.Network
//
// and is then found by package mdns.
type Host interface {
	// Hostname returns the machine's name.
	Hostname() string

	// Listen, Dial and Resolve are as the functions of package mesh.
	Listen(ctx context.Context, hostport string) ([]net.Listener, error)
	Dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
	Resolve(ctx context.Context, hostport string) ([]netip.AddrPort, error)

	// Interfaces and Watch are as Current and Subscribe of package netwatch.
	Interfaces() (netwatch.State, error)
	Watch(changed func(netwatch.Event)) (cancel func())

	// Random is where a node's ID and the randomness of its schedule come
	// from. What nobody may guess does not.
	Random() io.Reader

	// Started tells of a node that has begun to run on the host.
	Started(node io.Closer)

	// Dead reports whether the node's process was killed, and nothing that the node
	// does from then on may leave a trace.
	Dead() bool
}

// key is that of a Host in a context.
type key struct{}

// With returns a context in which nodes join the network of h.
func With(ctx context.Context, h Host) context.Context { return context.WithValue(ctx, key{}, h) }

// From returns the Host that With has put into ctx, and false if there is none.
func From(ctx context.Context) (Host, bool) {
	h, ok := ctx.Value(key{}).(Host)
	return h, ok
}

// Socket is a connection of a simulated network that tells of itself what the system
// tells of a real one.
type Socket interface {
	Facts() Facts
}

// Facts are what is known of a socket.
type Facts struct {
	Unread   int    // bytes that have come and were not read
	Unsent   int    // bytes that were written, and the end, if it was, that the other machine has not acknowledged
	Ended    bool   // the other side has ended its half, or the socket was reset
	Closed   bool   // both sides have ended theirs, or it was reset
	Received uint64 // bytes, so far, without the end
	Acked    uint64 // bytes, so far
}
