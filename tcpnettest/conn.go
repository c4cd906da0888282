package tcpnettest

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// Conn is a simulated TCP connection, with the methods of [net.TCPConn] that make
// sense here. It fails as TCP does: with ECONNRESET, EPIPE, ETIMEDOUT. What the
// system has received can be read up to the error, which is told once. An error after
// the end of the stream is told to Write alone.
type Conn struct{ s *socket }

var _ net.Conn = (*Conn)(nil)

func (c *Conn) lock() *sync.Mutex {
	c.s.host.lan.mu.Lock()
	return &c.s.host.lan.mu
}

func (c *Conn) fail(op string, err error) error {
	return sysError(op, c.LocalAddr(), c.RemoteAddr(), err)
}

// until waits on cond, but not beyond a deadline.
func (s *socket) until(cond *sync.Cond, deadline time.Time) {
	if !deadline.IsZero() {
		t := time.AfterFunc(time.Until(deadline), func() {
			s.host.lan.mu.Lock()
			defer s.host.lan.mu.Unlock()
			cond.Broadcast()
		})
		defer t.Stop()
	}
	cond.Wait()
}

func passed(deadline time.Time) bool { return !deadline.IsZero() && !time.Now().Before(deadline) }

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) {
	defer c.lock().Unlock()
	s := c.s
	for {
		switch {
		case s.closed:
			return 0, c.fail("read", net.ErrClosed)
		case len(b) == 0:
			return 0, nil
		case passed(s.readBy):
			return 0, c.fail("read", os.ErrDeadlineExceeded)
		case s.process.frozen:
		case len(s.in) > 0:
			n := copy(b, s.in)
			if s.in = s.in[n:]; len(s.in) == 0 {
				s.in = nil
			}
			if edge := s.rcv - uint64(len(s.in)) + bufferSize; s.state == established && !s.eof && edge-s.advertised >= bufferSize/2 {
				s.send(segment{seq: s.nxt}) // the window is open again
			}
			return n, nil
		case s.eof: // also if the connection was reset since then
			return 0, io.EOF
		case s.failed != nil && !s.told:
			s.told = true
			return 0, c.fail("read", s.failed)
		case s.shut, s.state == closed:
			return 0, io.EOF
		}
		s.until(s.readable, s.readBy)
	}
}

// Write implements net.Conn.
func (c *Conn) Write(b []byte) (n int, err error) {
	defer c.lock().Unlock()
	s := c.s
	for {
		switch {
		case s.closed:
			return n, c.fail("write", net.ErrClosed)
		case passed(s.writeBy):
			return n, c.fail("write", os.ErrDeadlineExceeded)
		case s.process.frozen:
		case s.failed != nil && !s.told:
			s.told = true
			return n, c.fail("write", s.failed)
		case s.state == closed || s.fin:
			return n, c.fail("write", syscall.EPIPE)
		case len(b) == 0:
			return n, nil
		case len(s.out) < bufferSize:
			k := min(bufferSize-len(s.out), len(b))
			s.out = append(s.out, b[:k]...)
			b, n = b[k:], n+k
			s.pump()
			continue
		}
		s.until(s.writable, s.writeBy)
	}
}

// Close closes the connection. What was written is still sent; if something has
// arrived that was not read, the other side gets an error.
func (c *Conn) Close() error {
	defer c.lock().Unlock()
	s := c.s
	if s.closed {
		return c.fail("close", net.ErrClosed)
	}
	s.closed = true
	s.process.perform(s.close)
	s.wake()
	return nil
}

// CloseWrite ends the stream to the other side.
func (c *Conn) CloseWrite() error {
	defer c.lock().Unlock()
	s := c.s
	switch {
	case s.closed:
		return c.fail("close", net.ErrClosed)
	case s.state == closed:
		return c.fail("close", syscall.ENOTCONN)
	}
	s.process.perform(func() {
		if s.state == established && !s.fin {
			s.fin = true
			s.pump()
		}
	})
	s.writable.Broadcast()
	return nil
}

// CloseRead makes Read return what has arrived, and then io.EOF.
func (c *Conn) CloseRead() error {
	defer c.lock().Unlock()
	s := c.s
	if s.closed {
		return c.fail("close", net.ErrClosed)
	}
	s.shut = true
	s.readable.Broadcast()
	return nil
}

// address returns an address with its zone, if it has one.
func (s *socket) address(a netip.AddrPort) net.Addr {
	if ip := a.Addr(); ip.Is6() && ip.IsLinkLocalUnicast() {
		a = netip.AddrPortFrom(ip.WithZone(s.zone), a.Port())
	}
	return net.TCPAddrFromAddrPort(a)
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.s.address(c.s.local) }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.s.address(c.s.remote) }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error { return c.setDeadlines(t, true, true) }

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadlines(t, true, false) }

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadlines(t, false, true) }

func (c *Conn) setDeadlines(t time.Time, read, write bool) error {
	defer c.lock().Unlock()
	if c.s.closed {
		return c.fail("set", net.ErrClosed)
	}
	if read {
		c.s.readBy = t
		c.s.readable.Broadcast()
	}
	if write {
		c.s.writeBy = t
		c.s.writable.Broadcast()
	}
	return nil
}

// SetNoDelay does nothing: every write is sent at once.
func (c *Conn) SetNoDelay(bool) error { return nil }

// SetLinger is as in [net.TCPConn], for 0, which makes Close reset the connection;
// other values change nothing.
func (c *Conn) SetLinger(sec int) error {
	defer c.lock().Unlock()
	c.s.abrupt = sec == 0
	return nil
}

// SetKeepAliveConfig is as in [net.TCPConn].
func (c *Conn) SetKeepAliveConfig(k net.KeepAliveConfig) error {
	defer c.lock().Unlock()
	s := c.s
	s.keepIdle, s.keepEvery, s.keepCount = 0, 0, probesAlive
	if k.Enable {
		s.keepIdle, s.keepEvery = 15*time.Second, 15*time.Second
		if k.Idle > 0 {
			s.keepIdle = k.Idle
		}
		if k.Interval > 0 {
			s.keepEvery = k.Interval
		}
		if k.Count > 0 {
			s.keepCount = k.Count
		}
	}
	s.heard = max(s.heard, s.host.lan.now())
	s.armKeep()
	return nil
}

// SetUserTimeout sets how long bytes may wait for their acknowledgement, as the
// option TCP_USER_TIMEOUT does.
func (c *Conn) SetUserTimeout(d time.Duration) error {
	defer c.lock().Unlock()
	c.s.userTime = d
	return nil
}
