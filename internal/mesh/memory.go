package mesh

import (
	"net/netip"
	"slices"
	"time"

	"example.com/tcpnet/internal/link"
)

// Met is a node that there is or was a link to.
type Met struct {
	ID    link.ID
	Label string
	Addrs []netip.AddrPort // the most promising first
	Seen  time.Time        // when there was a link last
}

// How nodes that were met before this one was started are dialled: not all at once,
// most of them may be gone, and those that have not come back by the time there is
// company most likely will not.
const (
	rememberedGap   = 20 * time.Millisecond // between the first attempts at two of them
	rememberedTries = 2                     // they count as having been missed that often
	rememberedAlone = 6                     // attempts before company makes the others rare
	rememberedRare  = 10 * time.Minute
)

// remember takes a node that was met before this one was started. Unlike one that
// discovery tells of now, it may have another ID at the same address by this time.
func (c *core) remember(now time.Time, m Met, delay time.Duration) {
	if c.leaving || m.ID == c.id || len(m.Addrs) == 0 || c.peers[m.ID] != nil {
		return
	}
	p := c.get(m.ID, now)
	p.source, p.found, p.remembered = "state file", m.Seen, true
	p.learn(m.Addrs)
	p.dial.tries, p.dial.since = rememberedTries, m.Seen
	c.plan(now, &p.dial, delay, false)
}

// rare makes attempts rare at a node that is remembered only, when there is company
// that would know of it.
func (c *core) rare(now time.Time, p *peer) {
	if p.remembered && p.dial.tries >= rememberedAlone && c.digest.Count > 1 {
		p.dial.postpone(now.Add(c.about(rememberedRare)))
	}
}

// wrongNode says that another node of the cluster than p has answered at a.
func (c *core) wrongNode(now time.Time, a netip.AddrPort, p *peer) {
	p.unlearn(a)
	if p.remembered {
		c.tryOnce(now, a)
	}
}

// met returns the peers.
func (c *core) met(now time.Time) (all []Met) {
	for _, p := range c.everyone() {
		if p.sess != nil {
			all = append(all, Met{p.id, p.sess.hello.Label, slices.Clone(p.addrs), now})
		}
	}
	return all
}

// Remember dials nodes that were met before this one was started, as far as they
// are not known of already, in their order.
func (m *Mesh) Remember(all []Met) {
	m.step(nil, func(now time.Time) {
		for i, x := range all {
			m.core.remember(now, x, time.Duration(i)*rememberedGap)
		}
	})
}

// Met returns the peers there are.
func (m *Mesh) Met() []Met {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.core.met(time.Now())
}
