package mesh

import (
	"net/netip"
	"slices"
	"time"

	"example.com/tcpnet/internal/link"
)

// Status is what a mesh knows at one moment.
type Status struct {
	Linked    []LinkedStatus
	Missing   []MissingStatus
	Seeds     []SeedStatus
	Strangers Strangers
	Pending   int // strangers now inside
	Dialing   int // attempts under way
}

// LinkedStatus is one peer with a link.
type LinkedStatus struct {
	Peer
	Since     time.Time
	RTT       time.Duration
	Dialled   bool // by this side
	Connected bool // the program has its connection
	Sees      []link.ID
	SeesKnown bool
}

// MissingStatus is one node without a link.
type MissingStatus struct {
	ID     link.ID
	Addrs  []netip.AddrPort
	Source string
	Met    bool
	Left   bool
	Found  time.Time
	Next   time.Time // of the next attempt; zero if none is planned
	Tries  int
	Err    error
}

// SeedStatus is one seed.
type SeedStatus struct {
	Addr string
	ID   link.ID // who answered
	Err  error
}

// Status returns what the mesh knows now, ordered by ID.
func (m *Mesh) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, now := m.core, time.Now()
	st := Status{Strangers: m.log.strangers(), Pending: m.gate.pending(), Dialing: c.dialing}
	var mine []link.ID
	for _, p := range c.everyone() {
		if p.sess != nil {
			mine = append(mine, p.id)
		}
	}
	for _, p := range c.everyone() {
		s := p.sess
		if s == nil {
			st.Missing = append(st.Missing, MissingStatus{
				ID: p.id, Addrs: slices.Clone(p.addrs), Source: p.source, Met: p.met || p.remembered, Left: p.hasLeft(now),
				Found: p.found, Next: p.dial.due, Tries: p.dial.tries, Err: p.lastErr,
			})
			continue
		}
		ls := LinkedStatus{
			Peer: peerInfo(s), Since: s.since, RTT: s.rtt,
			Dialled: s.dialled, Connected: s.state == connOpen,
		}
		switch {
		case p.digest == c.digest: // it sees the very nodes that we see, us for it
			ls.SeesKnown = true
			for _, id := range append(slices.Clone(mine), c.id) {
				if id != p.id {
					ls.Sees = append(ls.Sees, id)
				}
			}
		case p.asked == p.digest && !p.asking:
			ls.SeesKnown = true
			ls.Sees = append(slices.Clone(p.sees), c.id)
		}
		slices.SortFunc(ls.Sees, link.ID.Compare)
		st.Linked = append(st.Linked, ls)
	}
	for _, s := range c.seeds {
		if !s.once {
			st.Seeds = append(st.Seeds, SeedStatus{s.text, s.id, s.err})
		}
	}
	return st
}
