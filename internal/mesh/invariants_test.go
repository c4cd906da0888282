package mesh

import (
	"slices"
	"time"

	"example.com/tcpnet/internal/link"
)

// linked returns the link to each peer.
func (n *node) linked() (l []link.LinkID) {
	for _, p := range n.core.everyone() {
		if p.sess != nil {
			l = append(l, p.sess.id)
		}
	}
	return l
}

// check is what is true of every node at every moment.
func (w *world) check(n *node) {
	c := n.core
	fail := func(format string, args ...any) { w.violate(n.name()+": "+format, args...) }
	armed := func(what string, wake, t time.Time) {
		if !t.IsZero() && (wake.IsZero() || wake.After(t)) {
			fail("nobody wakes it for %s", what)
		}
	}
	attempts, dialing := 0, 0
	for _, s := range w.socks {
		if s.ends[0].host == n.host && s.ends[0].gen == n.gen && !s.conn && s.ends[0].stage <= greeting {
			if r := w.rivals(s); len(r) == 0 || s.id < slices.Min(r) {
				attempts++
			}
		}
		if end := s.end(n.host); n.phase <= leaving && s.ends[end].host == n.host && s.ends[end].stage == talking && c.sessions[s.id] == nil {
			fail("link %d is open and forgotten", s.id)
		}
	}
	for id, s := range c.sessions {
		if s.attempt != nil {
			attempts++
			if !s.attempt.dialing {
				fail("the attempt of link %d is not under way", id)
			}
		}
		if k := w.get(id); k == nil || k.ends[k.end(n.host)].stage != talking {
			fail("link %d is closed and remembered", id)
		}
		if s.adopted && !s.departing && s.peer.sess != s {
			fail("link %d is committed, but its peer has another", id)
		}
		armed("a probe", c.wake, s.probe)
		if s.adopted && !s.departing {
			armed("a silence", c.wake, s.live.Due().Add(coalesce))
			if s.state == connWaiting && !c.leaving {
				if s.dialled && s.redial.IsZero() {
					fail("nobody opens the connection of link %d", id)
				}
				armed("a connection", c.wake, s.redial)
			}
		}
	}
	for _, p := range c.peers {
		if p.dial.dialing {
			dialing++
		}
		if cur := inside(&p.arb).cur.id; p.sess == nil && cur != 0 || p.sess != nil && cur != p.sess.id {
			fail("the arbiter has link %d, the peer another", cur)
		}
		if in := inside(&p.arb); in.probing && (p.sess == nil || p.sess.probe.IsZero()) || !in.probing && len(in.waiting) > 0 {
			fail("a link waits for a probe that nobody makes")
		}
		if p.sess == nil && !p.dial.dialing && !c.leaving {
			armed("a dial", c.wakeDial, p.dial.due)
		}
	}
	for _, s := range c.seeds {
		if s.dial.dialing {
			dialing++
		}
	}
	if attempts != dialing || dialing != c.dialing {
		fail("%d attempts are under way, %d targets and %d in all are counted", attempts, dialing, c.dialing)
	}
	for _, p := range n.open {
		if s := c.sessions[p.link]; s == nil || s.state != connOpen || s.number != p.number {
			fail("the program has connection %d, core does not", p.conn)
		}
	}
	for _, s := range c.sessions {
		if s.state == connOpen && !s.departing {
			found := false
			for _, p := range n.open {
				found = found || p.link == s.id
			}
			// An acceptor's connUp is checked again when its program has it.
			if !found && !w.opening(s) {
				fail("core has a connection on link %d, the program does not", s.id)
			}
		}
	}
}

// opening reports whether connUp for s is under way.
func (w *world) opening(s *session) bool {
	for _, k := range w.socks {
		if k.conn && k.link == s.id && k.number == s.number {
			return true
		}
	}
	return false
}

// checkOrder sees to it that nobody gives the link that the arbiter holds up for
// one that it held before.
func (w *world) checkOrder(n *node, before []link.LinkID) {
	for _, p := range n.core.everyone() {
		if p.sess == nil || p.arb.Decides {
			continue
		}
		for _, old := range before {
			k := w.get(old)
			if old == p.sess.id || k == nil {
				continue
			}
			o := w.nodes[k.ends[1-k.end(n.host)].host]
			if o.id != p.id || p.sess.hello.Incarnation != o.core.inc || n.core.sessions[old] != nil {
				continue
			}
			if q := o.core.peers[n.id]; q != nil && q.sess != nil && q.sess.id == old && q.arb.Decides {
				w.violate("NO RELAPSE: %s gives up link %d, which the arbiter holds, for %d", n.name(), old, p.sess.id)
			}
		}
	}
}

// checkPair is what is true of every two nodes at every moment.
func (w *world) checkPair() {
	for i, a := range w.nodes {
		for _, b := range w.nodes[i+1:] {
			for _, p := range a.open {
				for _, q := range b.open {
					if p.host == b.host && q.host == a.host && p.peer == b.id && q.peer == a.id && p.conn != q.conn &&
						w.whole(p.link) && w.whole(q.link) {
						w.violate("NO SPLIT: %s has connection %d, %s has %d", a.name(), p.conn, b.name(), q.conn)
					}
				}
			}
		}
	}
}

// whole reports whether both ends of a link are open and it carries messages:
// otherwise one side will hear of the end of it.
func (w *world) whole(id link.LinkID) bool {
	s := w.get(id)
	return !s.lost && s.ends[0].stage == talking && s.ends[1].stage == talking
}

// agree reports whether two nodes hold the two ends of one link and of one
// connection, or none if one of them is not there.
func (w *world) agree(i, j int) bool {
	a, b := w.nodes[i], w.nodes[j]
	if a.phase > leaving || b.phase > leaving {
		return !w.holds(a, b) && !w.holds(b, a) && !w.sc.returns
	}
	if a.phase == leaving || b.phase == leaving {
		return false
	}
	p, q := a.core.peers[b.id], b.core.peers[a.id]
	if p == nil || q == nil || p.sess == nil || q.sess == nil || p.sess.id != q.sess.id || w.get(p.sess.id).lost {
		return false
	}
	for _, x := range a.open {
		for _, y := range b.open {
			if x.conn == y.conn && x.link == p.sess.id && y.link == p.sess.id {
				return !w.get(x.conn).lost
			}
		}
	}
	return false
}

// holds reports whether a has anything that belongs to b.
func (w *world) holds(a, b *node) bool {
	for _, p := range a.open {
		if p.host == b.host {
			return true
		}
	}
	p := a.core.peers[b.id]
	return p != nil && (p.sess != nil || len(inside(&p.arb).waiting) > 0)
}

// knows reports whether a node that can dial the other knows that it has no link
// to it, so that nobody has to wait for a silence to be noticed.
func (w *world) knows(i, j int) bool {
	a, b := w.nodes[i], w.nodes[j]
	for _, d := range [][2]*node{{a, b}, {b, a}} {
		if p := d[0].core.peers[d[1].id]; d[0].phase == up && d[1].phase == up && w.sc.reach(d[0].host, d[1].host) &&
			p != nil && p.sess == nil && !p.hasLeft(now) {
			return true
		}
	}
	return false
}
