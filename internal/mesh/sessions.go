package mesh

import (
	"time"

	"example.com/tcpnet/internal/link"
)

// openNext opens the connection that is due, or lets it be opened, after a while.
func (c *core) openNext(now time.Time, s *session, wait time.Duration) {
	switch {
	case c.leaving:
		s.state, s.redial = connWaiting, time.Time{}
	case !s.dialled:
		s.state = connOpening
		c.fx.expect(s)
	case wait > 0:
		s.state, s.redial = connWaiting, now.Add(wait)
		c.at(s.redial)
	default:
		s.state, s.redial = connOpening, time.Time{}
		c.fx.openConn(s)
	}
}

// connUp says that a socket has become the connection of this number, and reports
// whether it still has a place.
func (c *core) connUp(now time.Time, s *session, number uint64) bool {
	if c.leaving || c.sessions[s.id] != s || s.peer.sess != s || s.number != number || s.state != connOpening {
		return false
	}
	s.state, s.opened, s.fails = connOpen, now, 0
	return true
}

// connFailed says that the connection of this number could not be opened.
func (c *core) connFailed(now time.Time, s *session, number uint64) {
	if c.sessions[s.id] != s || s.number != number || s.state != connOpening {
		return
	}
	s.fails++
	if s.fails >= 3 && s.dialled {
		// The way that this link was made does not carry a connection.
		c.fx.send(s.id, link.AppendGoodbye(nil, link.Goodbye{Code: link.CodeTimeout, Text: "cannot open a connection"}))
		c.fx.end(s.id)
		c.closed(now, s.id, errNoConn)
		return
	}
	c.nextConn(now, s)
}

// connEnded says that the program on this side, or the failure of its socket, has
// ended the connection of this number.
func (c *core) connEnded(now time.Time, s *session, number uint64, cause error) {
	if c.sessions[s.id] != s || s.number != number {
		return
	}
	if s.departing {
		// The other side, which waits for our end, can tell it from that of the
		// process.
		c.fx.send(s.id, link.AppendClose(nil, number))
		c.remove(s)
		c.fx.end(s.id)
		return
	}
	if s.state == connOpen {
		c.fx.down(s, cause)
		c.worn(now, s)
		c.nextConn(now, s)
	}
}

// gotClose takes a CLOSE.
func (c *core) gotClose(now time.Time, id link.LinkID, number uint64) {
	s := c.sessions[id]
	if s == nil || !s.adopted || s.departing || number < s.number {
		return
	}
	if s.state == connOpen {
		c.fx.down(s, ErrClosed)
		c.worn(now, s)
	}
	s.number = number + 1
	c.openNext(now, s, c.connBackoff(s))
}

// worn counts a connection that did not last.
func (c *core) worn(now time.Time, s *session) {
	if s.worn++; now.Sub(s.opened) > steady {
		s.worn = 0
	}
}

// nextConn ends the current number on this side.
func (c *core) nextConn(now time.Time, s *session) {
	c.fx.send(s.id, link.AppendClose(nil, s.number))
	s.number++
	c.openNext(now, s, c.connBackoff(s))
}

func (c *core) connBackoff(s *session) time.Duration {
	return c.about(min(retryFirst<<min(s.fails+s.worn, 10), retryCap))
}
