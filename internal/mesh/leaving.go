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
		c.gone(now, p, s.hello.Addrs)
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

// gone takes word that a node with the ID of p leaves, from one at these addresses.
// Two nodes may use one ID: of the other it says nothing.
func (c *core) gone(now time.Time, p *peer, from []netip.AddrPort) {
	if p.sess != nil {
		return
	}
	p.left, p.leftOn = true, now
	if !meet(p.leftAt, from) {
		p.leftAt = from
	}
	p.losses = slices.DeleteFunc(p.losses, func(l loss) bool { return l.old(now) || on(from, l.at) })
	for _, l := range p.losses {
		p.prefer(l.at[0])
	}
}

// hasLeft reports whether p said goodbye and it is not likely that another with its ID
// is still there: one that was turned away or lost a while ago, and not heard of since.
func (p *peer) hasLeft(now time.Time) bool {
	if !p.left || !p.twin.IsZero() && now.Sub(p.twin) <= rememberLeft {
		return false
	}
	return !slices.ContainsFunc(p.losses, func(l loss) bool { return !l.old(now) })
}

// missing reports whether p is to be looked for: there is no link with it, it has not
// left, and it is known where it may be.
func (p *peer) missing(now time.Time) bool {
	return p.sess == nil && len(p.addrs) > 0 && !p.hasLeft(now)
}

// A loss is the end, without a goodbye, of a link with a node that may be still where it
// was.
type loss struct {
	at  []netip.AddrPort // where: first the address that it was reached at; not changed
	inc link.Incarnation
	on  time.Time
}

// old reports whether l is so long ago that it counts no more.
func (l loss) old(now time.Time) bool { return now.Sub(l.on) > rememberLost }

// maxLosses is how many are remembered of one ID, the last ones.
const maxLosses = 3

// lose notes that the link s was lost, if the other side has said where it is.
func (p *peer) lose(now time.Time, s *session) {
	if len(s.hello.Addrs) == 0 {
		return
	}
	p.regain(s)
	if len(p.losses) == maxLosses {
		p.losses = slices.Delete(p.losses, 0, 1)
	}
	p.losses = append(p.losses, loss{s.hello.Addrs, s.hello.Incarnation, now})
}

// regain takes the node at the other end of s for one that was lost, if it is that one,
// or one on its machine that has taken its place.
func (p *peer) regain(s *session) {
	p.losses = slices.DeleteFunc(p.losses, func(l loss) bool {
		return l.inc == s.hello.Incarnation || on(s.hello.Addrs, l.at)
	})
}

// on reports whether a node at the addresses a is on the machine of one at b. Only the
// address counts at which that one was reached: the others may be on every machine, as
// those of bridges for containers are.
func on(a, b []netip.AddrPort) bool {
	return len(b) > 0 && slices.ContainsFunc(a, func(x netip.AddrPort) bool {
		return zoneless(x).Addr() == zoneless(b[0]).Addr()
	})
}

// meet reports whether a and b have an address in common. Zones are of no account: the
// same link-local address may be told of over any link.
func meet(a, b []netip.AddrPort) bool {
	return slices.ContainsFunc(a, func(x netip.AddrPort) bool {
		return slices.ContainsFunc(b, func(y netip.AddrPort) bool { return zoneless(x) == zoneless(y) })
	})
}

// rememberLost is how long a node that was lost without a goodbye is dialled on, where
// it was, when another with its ID says goodbye elsewhere: mostly it has moved itself.
// When that is over, discovery finds it: an hour is the longest that a querier waits
// (RFC 6762 section 5.2).
const rememberLost = time.Hour

// rememberLeft is how long a peer that said goodbye is remembered, so that others
// who have not heard it yet do not make us dial it.
const rememberLeft = 5 * time.Minute

// forgetLeft forgets the peers that left a while ago: with random IDs none of them
// comes back.
func (c *core) forgetLeft(now time.Time) {
	for _, p := range c.peers {
		if p.hasLeft(now) && p.links == 0 && !p.dial.dialing && now.Sub(p.leftOn) > rememberLeft {
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
