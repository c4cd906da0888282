package mesh

import (
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
		// Where two nodes use one ID, one is still there when the other leaves.
		p.left = p.twin.IsZero() || now.Sub(p.twin) > rememberLeft
		p.dial.stop()
		open := s.state == connOpen
		c.drop(now, s, ErrLeft)
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

// rememberLeft is how long a peer that said goodbye is remembered, so that others
// who have not heard it yet do not make us dial it.
const rememberLeft = 5 * time.Minute

// forgetLeft forgets the peers that left a while ago: with random IDs none of them
// comes back.
func (c *core) forgetLeft(now time.Time) {
	for _, p := range c.peers {
		if p.left && p.links == 0 && !p.dial.dialing && now.Sub(p.dial.since) > rememberLeft {
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
