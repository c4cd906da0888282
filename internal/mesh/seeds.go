package mesh

import (
	"net/netip"
	"slices"
	"time"

	"example.com/tcpnet/internal/link"
)

// seed is an address without an ID: of the program's or of discovery's. It is
// resolved afresh at every attempt.
type seed struct {
	text string
	addr netip.AddrPort // the same, if it needs no resolving
	dial schedule
	once bool    // one attempt is enough
	id   link.ID // who answered there last; the node's own ID if it did itself
	err  error   // why the last attempt failed
}

// addSeed begins to dial an address without an ID.
func (c *core) addSeed(now time.Time, text string) { c.plant(now, text, false) }

// tryOnce dials an address once.
func (c *core) tryOnce(now time.Time, a netip.AddrPort) { c.plant(now, a.String(), true) }

func (c *core) plant(now time.Time, text string, once bool) {
	if c.leaving || len(c.seeds) >= maxPeers {
		return
	}
	if i := slices.IndexFunc(c.seeds, func(s *seed) bool { return s.text == text }); i >= 0 {
		c.seeds[i].once = c.seeds[i].once && once
		return
	}
	s := &seed{text: text, once: once}
	s.addr, _ = netip.ParseAddrPort(text)
	c.seeds = append(c.seeds, s)
	c.plan(now, &s.dial, 0, true)
}

// dropSeed ends the attempts at an address without an ID. One that is under way
// goes on, and whoever was met there stays a peer.
func (c *core) dropSeed(text string) {
	c.seeds = slices.DeleteFunc(c.seeds, func(s *seed) bool { return s.text == text })
}

// spent takes a seed out that has had its one attempt.
func (c *core) spent(s *seed) {
	if s.once {
		c.seeds = slices.DeleteFunc(c.seeds, func(o *seed) bool { return o == s })
	}
}

// fulfilled reports whether there is a link already to where a seed leads: one that
// was dialled there, or one from that machine to a node that listens at that port.
func (c *core) fulfilled(s *seed) bool {
	if !s.addr.IsValid() {
		return false
	}
	for _, p := range c.peers {
		l := p.sess
		if l == nil {
			continue
		}
		if l.remote == s.addr && l.dialled || l.remote.Addr() == s.addr.Addr() &&
			slices.ContainsFunc(l.hello.Addrs, func(a netip.AddrPort) bool { return a.Port() == s.addr.Port() }) {
			s.id, s.err = p.id, nil
			s.dial.stop()
			return true
		}
	}
	return false
}

// pumpSeeds starts the attempts at seeds that are due.
func (c *core) pumpSeeds(now time.Time) {
	for _, s := range slices.Clone(c.seeds) {
		if !c.ready(now, &s.dial) {
			continue
		}
		if c.fulfilled(s) {
			c.spent(s)
			continue
		}
		c.start(now, &s.dial)
		c.fx.dial(nil, s)
	}
}
