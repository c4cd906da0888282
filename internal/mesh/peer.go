package mesh

import (
	"crypto/tls"
	"net/netip"
	"slices"
	"time"

	"example.com/tcpnet/internal/link"
)

// Bounds on what is remembered.
const (
	maxPeers     = 1024 // nodes without a link: candidates and those once met
	maxAddrs     = 16   // addresses of one node
	maxOwnAddrs  = 256  // addresses at which the node has reached itself
	maxSeesPeers = 4096 // entries kept of what one peer sees
)

// peer is all that a node knows of one other node.
type peer struct {
	id     link.ID
	sum    uint64
	arb    link.Arbiter
	sess   *session // the committed link, or nil
	links  int      // sessions with it, of any state
	addrs  []netip.AddrPort
	dial   schedule
	trying []netip.AddrPort // those of addrs that the attempt under way is made at

	met        bool             // there was a link once
	remembered bool             // there was one before this node was started, and nothing is known since
	flaps      int              // links in a row that did not last
	left       bool             // one said goodbye, and nothing new was heard since: see hasLeft
	leftAt     []netip.AddrPort // where that one was; not changed in place
	leftOn     time.Time        // when
	losses     []loss           // of links; the latest last
	source     string           // what told of it first
	found      time.Time
	lastErr    error     // why the last attempt failed
	twin       time.Time // when the program was told last that two nodes use its ID

	digest   link.Digest // of the nodes it sees, as last told
	asked    link.Digest // the digest that it was asked about last
	sees     []link.ID   // what it answered
	askAt    time.Time   // when to ask; zero: no need
	askAgain time.Time   // when to ask although the digest is that of asked; zero: not
	asking   bool        // an answer is awaited
}

// machine returns the address that stands for the machine that p is on.
func (p *peer) machine() (a netip.Addr) {
	if len(p.addrs) > 0 {
		a = p.addrs[0].Addr()
	}
	return a
}

// learn adds addresses, the most promising first. It reports whether any was new.
func (p *peer) learn(addrs []netip.AddrPort) (fresh bool) {
	for i, a := range addrs {
		if i >= maxAddrs {
			break
		}
		if j := slices.Index(p.addrs, a); j < 0 {
			fresh = true
			p.addrs = slices.Insert(p.addrs, min(i, len(p.addrs)), a)
		}
	}
	if len(p.addrs) > maxAddrs {
		p.addrs = p.addrs[:maxAddrs]
	}
	return fresh
}

// prefer moves an address that has worked to the front.
func (p *peer) prefer(a netip.AddrPort) {
	if i := slices.Index(p.addrs, a); i >= 0 {
		p.addrs = slices.Delete(p.addrs, i, i+1)
	}
	p.addrs = slices.Insert(p.addrs, 0, a)
	if len(p.addrs) > maxAddrs {
		p.addrs = p.addrs[:maxAddrs]
	}
}

// unlearn removes an address that belongs to another node.
func (p *peer) unlearn(a netip.AddrPort) {
	p.addrs = slices.DeleteFunc(p.addrs, func(b netip.AddrPort) bool { return a == b })
}

// session is a link whose HELLOs have been exchanged, committed or not.
type session struct {
	id      link.LinkID
	peer    *peer
	hello   *link.Hello
	dialled bool
	remote  netip.AddrPort       // the other end
	local   netip.AddrPort       // this end
	tls     *tls.ConnectionState // nil in an open cluster
	seed    *seed                // the seed that led to it, if one did
	attempt *schedule            // the attempt that it is the outcome of, until that is known

	adopted bool
	since   time.Time
	live    link.Liveness
	rtt     time.Duration
	nonce   uint64    // of the last PING
	pinged  time.Time // when it was sent; zero: answered
	sampled time.Time // when rtt was measured last
	probe   time.Time // when the probe is given up; zero: none
	probing uint64    // its nonce

	secret link.Secret
	number uint64    // of the connection that is open or due
	state  connState // of that connection
	redial time.Time // when to open it, in connWaiting
	fails  int       // openings in a row that came to nothing
	worn   int       // connections in a row that did not last
	opened time.Time

	departing bool // it said goodbye; the link stays until its connection is closed
}

// connState is the state of a session's current connection (PROTOCOL.md section 6).
type connState uint8

const (
	connWaiting connState = iota // the dialler waits before it opens it
	connOpening                  // the dialler dials, the acceptor expects the token
	connOpen                     // the programs have it
)
