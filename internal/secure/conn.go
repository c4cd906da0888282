package secure

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Conn is a private socket. It is a net.Conn in which a half-close is possible, as in
// TCP, and whose end is told from its being cut.
type Conn struct {
	tls    *tls.Conn
	socket *socket
	peer   string

	mu      sync.Mutex // guards what follows
	ended   bool       // CloseWrite or Close was called
	writing int        // calls of Write under way
}

// Peer returns the ID that the other side has proved.
func (c *Conn) Peer() string { return c.peer }

// State returns what TLS knows of the other side.
func (c *Conn) State() *tls.ConnectionState {
	s := c.tls.ConnectionState()
	return &s
}

// NetConn returns the socket under TLS. Reading it, or writing to it, breaks c.
func (c *Conn) NetConn() net.Conn { return c.socket.Conn }

// Read reads what the other side has written. It returns io.EOF only if the other
// side has said that this is the end, and an error that wraps io.ErrUnexpectedEOF if
// the socket has ended without that, or what came has been tampered with.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.tls.Read(b)
	return n, lost(err)
}

// Write writes to the other side. When it has failed, also because of a deadline, no
// other Write can succeed.
func (c *Conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return 0, net.ErrClosed
	}
	c.writing++
	c.mu.Unlock()
	n, err := c.tls.Write(b)
	c.mu.Lock()
	c.writing--
	last := c.ended && c.writing == 0
	c.mu.Unlock()
	if last {
		c.tls.CloseWrite()
	}
	return n, lost(err)
}

// farewell is how long the alert that says that this is the end may take to be
// written to a socket that is full.
const farewell = 5 * time.Second

// CloseWrite says that nothing more will be written, after what is being written. It
// waits up to 5 seconds for room in the socket.
func (c *Conn) CloseWrite() error {
	c.mu.Lock()
	done, busy := c.ended, c.writing > 0
	c.ended = true
	c.mu.Unlock()
	if done || busy { // whoever writes says it
		return nil
	}
	return c.tls.CloseWrite()
}

// Close closes the socket and says that this is the end, unless a Write is under way.
// It waits up to 5 seconds for room in the socket; see Hurry.
func (c *Conn) Close() error {
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	return c.tls.Close()
}

// Hurry gives CloseWrite and Close no more than d from now, also if they are under way.
func (c *Conn) Hurry(d time.Duration) { c.socket.hurry(time.Now().Add(d)) }

// Cut closes the socket at once and says nothing.
func (c *Conn) Cut() error { return c.socket.Conn.Close() }

// Abandon shuts the socket down in both directions and says nothing. What has arrived
// can still be read.
func (c *Conn) Abandon() {
	if t, ok := c.socket.Conn.(interface {
		CloseRead() error
		CloseWrite() error
	}); ok {
		t.CloseRead()
		t.CloseWrite()
	} else {
		c.Cut()
	}
}

func (c *Conn) LocalAddr() net.Addr                { return c.socket.LocalAddr() }
func (c *Conn) RemoteAddr() net.Addr               { return c.socket.RemoteAddr() }
func (c *Conn) SetDeadline(t time.Time) error      { return c.tls.SetDeadline(t) }
func (c *Conn) SetReadDeadline(t time.Time) error  { return c.tls.SetReadDeadline(t) }
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.tls.SetWriteDeadline(t) }

// SyscallConn gives access to the options of the socket under TLS. What passes through
// it is encrypted, so Read and Write of the result fail.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	t, ok := c.socket.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return nil, err
	}
	return optionsOnly{raw}, nil
}

// optionsOnly is a socket that can be looked at and not used.
type optionsOnly struct{ syscall.RawConn }

func (optionsOnly) Read(func(uintptr) bool) error  { return errors.ErrUnsupported }
func (optionsOnly) Write(func(uintptr) bool) error { return errors.ErrUnsupported }

// lost makes an error of what TLS found wrong look like what it is, a stream without an
// end. Those of the program's own doing, of time and of the kernel stay as they are.
func lost(err error) error {
	var op *net.OpError
	switch {
	case err == nil, err == io.EOF:
		return err
	case errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, io.ErrUnexpectedEOF):
		return err
	case errors.As(err, &op) && op.Op != "remote error" && op.Op != "local error":
		return err
	}
	return fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, err)
}

// unlimited is the quota of a socket whose other side has proved itself.
const unlimited = -1

// socket is what TLS runs over.
type socket struct {
	net.Conn
	quota int // bytes that may still be read; unlimited after the proofs

	mu    sync.Mutex // guards what follows, and setting deadlines for writing
	limit time.Time  // for all writing, once set
}

// errCut is what reading a socket returns that has ended. TLS would take the end of a
// socket for the end of the stream, where it falls between two records.
var errCut = fmt.Errorf("the connection was cut: %w", io.ErrUnexpectedEOF)

// errQuota ends a stranger that sends more than belongs to a handshake.
var errQuota = fmt.Errorf("%w: it sends too much before its proof", ErrForeign)

func (s *socket) Read(b []byte) (int, error) {
	if s.quota != unlimited {
		if s.quota == 0 {
			return 0, errQuota
		}
		b = b[:min(len(b), s.quota)]
	}
	n, err := s.Conn.Read(b)
	if s.quota != unlimited {
		s.quota -= n
	}
	if err == io.EOF {
		err = errCut
	}
	return n, err
}

// SetWriteDeadline sets it, but no later than the limit.
func (s *socket) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.limit.IsZero() && (t.IsZero() || t.After(s.limit)) {
		t = s.limit
	}
	return s.Conn.SetWriteDeadline(t)
}

// SetDeadline sets both.
func (s *socket) SetDeadline(t time.Time) error {
	if err := s.Conn.SetReadDeadline(t); err != nil {
		return err
	}
	return s.SetWriteDeadline(t)
}

// hurry lets all writing fail at t at the latest.
func (s *socket) hurry(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = t
	s.Conn.SetWriteDeadline(t)
}
