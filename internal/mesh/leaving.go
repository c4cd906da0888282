package mesh

import (
	"net/netip"
	"slices"
	"time"

	"example.com/tcpnet/internal/link"
)

// goodbye takes a GOODBYE.
func (c *core) goodbye(now time.Time, id link.LinkID, m link.Goodbye) {
	s := c.sessions[id]
	if s == nil || s.departing {
		return
	}
	if !s.adopted {
		c.fx.end(id)
		c.forget(now, s, m.Code)
		return
	}
	switch m.Code {
	case link.CodeLeaving, link.CodeClosed:
		p := s.peer
		c.forgetLeft(now)
		p.dial.stop()
		open := s.state == connOpen
		c.drop(now, s, ErrLeft)
		c.gone(now, p, s.places())
		if m.Code == link.CodeLeaving && open {
			s.departing = true // the link stays until the program is done
		} else {
			c.remove(s)
			c.fx.end(id)
		}
		c.do(now, p, p.arb.Closed(id))
		c.wanted(now, p) // its seeds may lead to another node by now
	default:
		c.fx.end(id)
		c.closed(now, id, goodbyeError(m))
	}
}

// gone takes word that a node with the ID of p leaves, from the one at these places.
// Where two nodes use one ID the other is still there.
func (c *core) gone(now time.Time, p *peer, places []netip.AddrPort) {
	p.left = p.sess == nil && (p.twin.IsZero() || now.Sub(p.twin) > rememberLeft)
	if sameMachine(p.lostAt, places) {
		p.lostAt = nil
	} else if len(p.lostAt) > 0 {
		p.addrs = slices.DeleteFunc(p.addrs, func(a netip.AddrPort) bool { return slices.Contains(places, a) })
		p.learn(p.lostAt)
	}
}

// rememberLost is how long a node that was lost, without a goodbye, is held to be where
// it was, whatever another with its ID does elsewhere. By then discovery will have asked
// for it (an hour is the longest that a querier waits: RFC 6762 section 5.2).
const rememberLost = time.Hour

// lose notes where the node at the other end of s was when it was lost.
func (p *peer) lose(now time.Time, s *session) {
	if len(p.lostAt) == 0 || s.hello.Incarnation == p.lostInc || now.Sub(p.lostOn) > rememberLost {
		p.lostAt, p.lostInc, p.lostOn = s.places(), s.hello.Incarnation, now
	}
}

// regain takes s for the link with the node that was lost, if it is that one, or one on
// its machine that has taken its place.
func (p *peer) regain(s *session) {
	if s.hello.Incarnation == p.lostInc || sameMachine(p.lostAt, s.places()) {
		p.lostAt = nil
	}
}

// hasLeft reports whether p has said goodbye, and none that was lost may still be there.
func (p *peer) hasLeft(now time.Time) bool {
	return p.left && (len(p.lostAt) == 0 || now.Sub(p.lostOn) > rememberLost)
}

// places returns where the node at the other end of s listens.
func (s *session) places() []netip.AddrPort {
	if s.dialled {
		return append([]netip.AddrPort{s.remote}, s.hello.Addrs...)
	}
	return s.hello.Addrs
}

// sameMachine reports whether a node at the places a may be on the machine of one at b.
func sameMachine(a, b []netip.AddrPort) bool {
	return slices.ContainsFunc(a, func(x netip.AddrPort) bool {
		return slices.ContainsFunc(b, func(y netip.AddrPort) bool {
			return x.Addr().WithZone("") == y.Addr().WithZone("")
		})
	})
}

// rememberLeft is how long a peer that said goodbye is remembered, so that others
// who have not heard it yet do not make us dial it.
const rememberLeft = 5 * time.Minute

// forgetLeft forgets the peers that left a while ago: with random IDs none of them
// comes back.
func (c *core) forgetLeft(now time.Time) {
	for _, p := range c.peers {
		if p.hasLeft(now) && p.links == 0 && !p.dial.dialing && now.Sub(p.dial.since) > rememberLeft {
			delete(c.peers, p.id)
		}
	}
}

// leave says goodbye to all and takes nobody any more.
func (c *core) leave(now time.Time, code link.Code) {
	if c.leaving {
		return
	}
	c.leaving = true
	for _, s := range c.sorted() {
		if s.adopted && !s.departing {
			c.fx.send(s.id, link.AppendGoodbye(nil, link.Goodbye{Code: code}))
			c.ping(now, s) // its answer says that the goodbye was heard
		} else if !s.adopted {
			c.fx.send(s.id, link.AppendReject(nil, link.Reject{Code: link.CodeLeaving}))
			c.fx.end(s.id)
			c.forget(now, s, link.CodeLeaving)
		}
	}
}

// heeded reports whether all peers have heard the goodbye.
func (c *core) heeded() bool {
	for _, s := range c.sessions {
		if s.adopted && !s.departing && !s.pinged.IsZero() {
			return false
		}
	}
	return true
}
