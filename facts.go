package tcpnet

import (
	"io"
	"net"
	"sync"
	"sync/atomic"

	"example.com/tcpnet/internal/netstack"
	"example.com/tcpnet/internal/secure"
)

// facts are what is known of a socket, where the system tells.
type facts struct {
	netstack.Facts
	known bool
}

// factsOf asks about a socket.
func factsOf(raw net.Conn) facts {
	if p, ok := raw.(*secure.Conn); ok {
		raw = p.NetConn()
	}
	if s, ok := raw.(netstack.Socket); ok {
		return facts{s.Facts(), true}
	}
	return systemFacts(raw)
}

// alertLen is how many bytes say in TLS 1.3 that this is the end of a stream.
const alertLen = 24

// unread returns how many bytes there are that the program may read.
func (f facts) unread(private bool) int {
	if private {
		return max(f.Unread-alertLen, 0)
	}
	return f.Unread
}

// unsent returns how many of the program's bytes have not arrived. ended says that this
// side's half was ended: what says so is not the program's.
func (f facts) unsent(private, ended bool) int {
	switch {
	case !ended:
		return f.Unsent
	case private:
		return max(f.Unsent-alertLen, 0)
	default:
		return max(f.Unsent-1, 0) // FIN takes the place of a byte
	}
}

// taken is what the program has read of a socket, and given what it has written, in all.
func (f facts) taken() uint64 { return f.Received - uint64(f.Unread) }
func (f facts) given() uint64 { return f.Acked + uint64(f.Unsent) }

// A tally counts the bytes that go one way over a connection. Those that the system
// copies from socket to socket, or from a file, are known at the end of the copy, and
// before that if the system has a count of its own.
type tally struct {
	n atomic.Uint64

	mu    sync.Mutex // guards what follows
	begun bool       // a copy is under way
	start uint64     // what the system's count was then
	ahead uint64     // bytes of the copy that are in n already
}

// begin notes that a copy begins, when the system's count is at. It reports false if
// there is one under way.
func (t *tally) begin(at uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.begun {
		return false
	}
	t.begun, t.start, t.ahead = true, at, 0
	return true
}

// copying reports whether a copy is under way.
func (t *tally) copying() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.begun
}

// look counts what has been copied by now.
func (t *tally) look(at uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if done := at - t.start; t.begun && at > t.start && done > t.ahead {
		t.n.Add(done - t.ahead)
		t.ahead = done
	}
}

// end counts a copy that has ended.
func (t *tally) end(n uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n > t.ahead {
		t.n.Add(n - t.ahead)
	}
	t.begun, t.ahead = false, 0
}

// A source is a reader that counts, and remembers why it has ended.
type source struct {
	io.Reader
	n   *atomic.Uint64
	err error
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	s.n.Add(uint64(n))
	if err != nil {
		s.err = err
	}
	return n, err
}

// A drain is a writer that counts.
type drain struct {
	io.Writer
	n *atomic.Uint64
}

func (d drain) Write(b []byte) (int, error) {
	n, err := d.Writer.Write(b)
	d.n.Add(uint64(n))
	return n, err
}
