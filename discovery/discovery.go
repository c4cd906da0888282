// Package discovery is how nodes of a cluster learn where other nodes may be.
//
// A [Discoverer] announces a node and reports [Candidate] values: addresses at
// which another node is believed to listen. It only ever adds: whether a
// candidate is alive, and whether it really is the node it is said to be, is
// settled by connecting to it. So a discoverer may repeat itself, be late or be
// wrong at no greater cost than a failed dial.
//
// Package mdns, below this one, finds nodes on the local network without
// configuration and is what package tcpnet uses by default. [DNS] finds them by a
// name, as in Kubernetes. Package gossip, a module of its own, finds them in a
// network that runs hashicorp/memberlist. They combine, and whichever leads to one
// node of a cluster leads to all.
//
// One's own is an implementation of [Discoverer], which takes a few lines: the
// examples of package tcpnet have one that reads a file. What it knows may be as
// little as addresses without IDs. It need not find all nodes and need not be found
// by any: of each two nodes, one that learns of the other is enough.
package discovery

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
)

// Self is what a discoverer announces of its own node.
type Self struct {
	// Cluster is the name that the nodes share: any UTF-8 text.
	Cluster string

	// ID is the node's ID: upper-case hexadecimal digits.
	ID string

	// Port is the TCP port the node listens on.
	Port uint16

	// Addrs are the addresses the node listens on. It is empty when the node
	// listens on all addresses of its machine, now and later.
	Addrs []netip.Addr

	// Interfaces says which network interfaces may be used. Nil means all
	// that are up.
	Interfaces func(net.Interface) bool
}

// Candidate is a place where a node is believed to be.
type Candidate struct {
	// ID is the node's ID, or empty when only addresses are known. Without an
	// ID each of Addrs is dialled by itself, until it leads to some node of
	// the cluster and again when that is lost, for as long as it is not
	// withdrawn: see [Withdrawer].
	ID string

	// Addrs are the addresses to try, the most promising first. A link-local
	// IPv6 address carries the zone of the interface it is reachable on.
	Addrs []netip.AddrPort

	// Announced is set when the node has just made itself known of its own
	// accord, so that it cannot be expected to know of us yet. It is dialled
	// without delay; other candidates are given a moment to dial us first.
	Announced bool

	// Source names the discoverer, such as "mdns" or "seed", for people.
	Source string
}

// Foreign is something that a discoverer met under the cluster's name and that
// is not one of its nodes, such as another program's service of the same type.
// It is shown to people and never dialled.
type Foreign struct {
	Name   string           // its own name, such as an mDNS instance name
	Addrs  []netip.AddrPort // where it says it is
	Source string           // as in Candidate
	Why    string           // what tells it from a node
}

// Sink receives what a discoverer finds. Its methods are safe for concurrent
// use, do not block, and keep no reference to a slice they are given.
type Sink interface {
	Found(Candidate)
	Foreign(Foreign)
}

// Connected is implemented by sinks that can tell whom their node is connected to.
// A discoverer need not ask for those. Like the methods of [Sink], Connected does
// not block.
type Connected interface {
	// Connected returns the IDs of the nodes that there is a connection to,
	// each with the address that it leads to.
	Connected() map[string]netip.Addr
}

// Withdrawer is implemented by sinks that take back what they were told, as those
// of package tcpnet do. Like the methods of [Sink], Withdraw does not block.
type Withdrawer interface {
	// Withdraw says that these addresses, reported without an ID by the same
	// session, are not believed to lead to a node any more. They are not
	// dialled again, unless another session or the program itself has named
	// them too. A connection that exists is not affected, nor are attempts at
	// a peer that was met there: only connecting tells who is alive.
	Withdraw(addrs []netip.AddrPort)
}

// Logger returns where to tell people of trouble: the logger of the node that sink
// belongs to, if sink has one, else one that discards.
func Logger(sink Sink) *slog.Logger {
	if l, ok := sink.(interface{ Logger() *slog.Logger }); ok {
		return l.Logger()
	}
	return slog.New(slog.DiscardHandler)
}

// Discoverer finds candidates. An implementation is safe for concurrent use, and
// one value may serve several nodes at once.
type Discoverer interface {
	// Start announces self, returns as soon as that is done once, and from
	// then on reports to sink what it finds, until the session that it
	// returns is closed. ctx bounds Start alone.
	//
	// Close withdraws the announcement and waits for all that Start began:
	// sink is not called after Close has returned.
	//
	// The session may implement [Reconfirmer].
	Start(ctx context.Context, self Self, sink Sink) (session io.Closer, err error)
}

// Reconfirmer is implemented by sessions that can check what they reported.
type Reconfirmer interface {
	// Reconfirm tells that nobody answered at the candidate with this ID. It
	// does not block. If the candidate turns out to exist still, it is
	// reported again.
	Reconfirm(id string)
}
