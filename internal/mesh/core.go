package mesh

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"example.com/tcpnet/internal/link"
)

// core is everything a node decides: whom to dial, which link survives, who is
// alive, when a connection is opened. It is told what happened and when, and acts
// through effects; it has no goroutine, no socket and no clock, and is guarded by
// Mesh.mu. A test explores it exhaustively.
type core struct {
	id       link.ID
	inc      link.Incarnation
	interval time.Duration // of PING
	timeout  time.Duration // of a silent link
	dials    int           // attempts at once, at most
	rnd      *rand.Rand
	fx       effects

	peers    map[link.ID]*peer
	seeds    []*seed
	sessions map[link.LinkID]*session
	own      map[netip.AddrPort]bool // where the node has reached itself
	digest   link.Digest
	toggled  time.Time // when digest changed last
	seq      uint64    // of COMMIT
	dialing  int       // attempts under way
	retrying int       // of these, at targets that failed before
	targets  targets
	starved  bool // an attempt that is due waits for room
	askNext  time.Time
	askOld   time.Time // when a peer may be asked once more about what it was asked about
	leaving  bool
	dear     bool      // a handshake costs so much that two at once have to be rarer
	born     time.Time // when the node was made

	wakeDial time.Time // when pump wants to be called; zero: never
	wake     time.Time // when tick wants to be called; zero: never
}

// effects is how core acts. The methods do not block and do not call back.
type effects interface {
	// send queues frames on a link.
	send(id link.LinkID, frames []byte)
	// hello queues this node's HELLO on a link.
	hello(id link.LinkID)
	// admit lifts the limits on a stranger from a link.
	admit(id link.LinkID)
	// end closes a link once what was sent is out.
	end(id link.LinkID)
	// dial makes an attempt at a peer, where it is to be tried, or a seed, whose outcome is a HELLO or a
	// call of dialFailed.
	dial(p *peer, s *seed)
	// openConn dials the connection that is due on a session that this side
	// dialled: connUp or connFailed follows.
	openConn(s *session)
	// expect makes the token of the connection that is due on a session that
	// the other side dialled known: connUp may follow.
	expect(s *session)
	// unexpect takes it back.
	unexpect(s *session)
	// down tells the program that a session's open connection has ended.
	down(s *session, cause error)
	// lost tells the program that nobody is at the other end of a session any
	// more, whether it had an open connection or not.
	lost(s *session, cause error)
	// reject tells the program of a peer that was not connected to.
	reject(r Rejection)
	// reconfirm tells discovery that nobody answered at a candidate.
	reconfirm(id link.ID)
	// sampled tells of a round trip that was measured.
	sampled(rtt time.Duration)
	// random returns a random number that nobody can guess.
	random() uint64
}

// newCore returns a core that knows nobody.
func newCore(id link.ID, inc link.Incarnation, fx effects) *core {
	c := &core{
		id:       id,
		inc:      inc,
		fx:       fx,
		peers:    make(map[link.ID]*peer),
		sessions: make(map[link.LinkID]*session),
		own:      make(map[netip.AddrPort]bool),
	}
	c.digest.Toggle(id.Sum(), true)
	return c
}

// at makes sure that tick is called at t.
func (c *core) at(t time.Time) { earlier(&c.wake, t) }

// atDial makes sure that pump is called at t.
func (c *core) atDial(t time.Time) { earlier(&c.wakeDial, t) }

// earlier brings *wake forward to t, where zero is never.
func earlier(wake *time.Time, t time.Time) {
	if !t.IsZero() && (wake.IsZero() || t.Before(*wake)) {
		*wake = t
	}
}

// due returns when run is to be called next, or zero.
func (c *core) due() time.Time {
	t := c.wake
	earlier(&t, c.wakeDial)
	return t
}

// run does what has become due.
func (c *core) run(now time.Time) {
	if !c.wake.IsZero() && !c.wake.After(now) {
		c.tick(now)
	}
	if !c.wakeDial.IsZero() && !c.wakeDial.After(now) {
		c.pump(now)
	}
}

// everyone returns the peers in the order of their IDs.
func (c *core) everyone() []*peer {
	all := make([]*peer, 0, len(c.peers))
	for _, p := range c.peers {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *peer) int { return a.id.Compare(b.id) })
	return all
}

// get returns the peer with this ID, made if need be.
func (c *core) get(id link.ID, now time.Time) *peer {
	p := c.peers[id]
	if p == nil {
		c.evict()
		p = &peer{id: id, sum: id.Sum(), found: now}
		p.arb.Decides = c.id.Compare(id) < 0
		c.peers[id] = p
	}
	return p
}

// evict makes room for one more peer: of those without a link, the one that was told
// of longest ago goes, strangers before those once met.
func (c *core) evict() {
	if len(c.peers) < maxPeers+len(c.sessions) {
		return
	}
	var worst *peer
	for _, p := range c.peers {
		if p.links > 0 || p.dial.dialing {
			continue
		}
		if worst == nil || (worst.met && !p.met) || (worst.met == p.met && p.found.Before(worst.found)) {
			worst = p
		}
	}
	if worst != nil {
		delete(c.peers, worst.id)
	}
}

// remove takes a session out of the table.
func (c *core) remove(s *session) {
	if c.sessions[s.id] == s {
		delete(c.sessions, s.id)
		s.peer.links--
	}
}
