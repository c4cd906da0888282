package tcpnet

import (
	"net"
	"os"
	"sync"
	"time"
)

// turn is the right to write to a connection: one writer has it at a time, for a
// whole call. Those who wait for it heed the deadline of writes, as those do who wait
// for the socket.
type turn struct {
	held chan struct{} // has an element while somebody has it

	mu       sync.Mutex // guards what follows
	deadline time.Time
	closed   bool
	changed  chan struct{} // closed and replaced when the above change; nil: nobody waits
}

// take waits for the turn. The error is net.ErrClosed or, if the deadline is heeded,
// os.ErrDeadlineExceeded.
func (t *turn) take(heedDeadline bool) error {
	select {
	case t.held <- struct{}{}:
		return nil
	default:
	}
	for {
		t.mu.Lock()
		if t.closed {
			t.mu.Unlock()
			return net.ErrClosed
		}
		var expired <-chan time.Time
		if heedDeadline && !t.deadline.IsZero() {
			expired = time.After(time.Until(t.deadline))
		}
		if t.changed == nil {
			t.changed = make(chan struct{})
		}
		changed := t.changed
		t.mu.Unlock()
		select {
		case t.held <- struct{}{}:
			return nil
		case <-expired:
			return os.ErrDeadlineExceeded
		case <-changed:
		}
	}
}

// give ends the turn.
func (t *turn) give() { <-t.held }

// setDeadline sets the time after which waiting fails; zero: never.
func (t *turn) setDeadline(at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.deadline = at
	t.wakeLocked()
}

// close lets nobody wait any longer.
func (t *turn) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	t.wakeLocked()
}

func (t *turn) wakeLocked() {
	if t.changed != nil {
		close(t.changed)
		t.changed = nil
	}
}
