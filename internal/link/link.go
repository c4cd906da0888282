// Package link is the framed TCP connection that two nodes keep between them for
// their own purposes: its bytes (PROTOCOL.md sections 3 to 6), the choice between
// several links to one peer, and when a silent one is given up.
//
// What decides is pure: [Arbiter] and [Liveness] are told what happened and
// return what to do. What acts is [Link].
package link

import (
	"bufio"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	readBuffer  = 512     // bytes; most frames are PINGs
	maxQueue    = 1 << 20 // bytes that wait for a slow peer before its link is given up
	flushWithin = 10 * time.Second
)

// Link is one link. Next is for one goroutine; the other methods are safe for
// concurrent use and do not block, except Flush.
type Link struct {
	Conn net.Conn
	ID   LinkID

	in    frameReader
	limit atomic.Int64 // the largest payload accepted now

	mu       sync.Mutex // guards what follows
	out      []byte
	flushing bool // somebody is in Flush
	ending   bool // close when out is empty
	closed   bool
	patience time.Duration // how long one write may take
}

// New returns the link over conn. The preface has been read already, or is sent
// by the caller.
func New(conn net.Conn, id LinkID) *Link {
	l := &Link{Conn: conn, ID: id, patience: flushWithin}
	l.in = frameReader{r: bufio.NewReaderSize(conn, readBuffer)}
	l.limit.Store(MaxPayloadBefore)
	return l
}

// Next returns the next frame. Its payload is valid until the next call.
func (l *Link) Next() (FrameType, []byte, error) { return l.in.next(&l.limit) }

// Buffered reports whether Next has something to read without waiting. It is for
// the goroutine that calls Next.
func (l *Link) Buffered() bool { return l.in.r.Buffered() > 0 }

// Admit lifts the limits on a stranger.
func (l *Link) Admit() {
	l.limit.Store(MaxPayload)
	l.Conn.SetDeadline(time.Time{})
}

// Send queues bytes, whole frames, for Flush.
func (l *Link) Send(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed || l.ending:
	case len(l.out)+len(b) > maxQueue:
		l.closeLocked()
	default:
		l.out = append(l.out, b...)
	}
}

// End closes the link once what was sent has been flushed.
func (l *Link) End() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ending = true
	if len(l.out) == 0 && !l.flushing {
		l.closeLocked()
	}
}

// Hurry gives the link d to write what was sent, also to a write under way, and
// wakes Next after that time.
func (l *Link) Hurry(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.patience = d
	l.Conn.SetDeadline(time.Now().Add(d))
}

// Close closes the link at once.
func (l *Link) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closeLocked()
}

func (l *Link) closeLocked() {
	if !l.closed {
		l.closed = true
		l.out = nil
		if c, ok := l.Conn.(interface{ Cut() error }); ok {
			c.Cut() // nothing needs to be said that GOODBYE has not, and Close may wait
		} else {
			l.Conn.Close()
		}
	}
}

// Pending reports whether Flush has something to do that nobody does yet.
func (l *Link) Pending() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.out) > 0 && !l.flushing
}

// Flush writes what was sent. Only one call at a time writes; the others return
// false at once, and what they wanted written is written by the first. A link that
// cannot be written to is closed, which Next tells.
func (l *Link) Flush() bool {
	l.mu.Lock()
	if l.flushing {
		l.mu.Unlock()
		return false
	}
	l.flushing = true
	defer func() {
		l.flushing = false
		if l.ending {
			l.closeLocked()
		}
		l.mu.Unlock()
	}()
	for len(l.out) > 0 && !l.closed {
		b := l.out
		l.out = nil
		l.Conn.SetWriteDeadline(time.Now().Add(l.patience))
		l.mu.Unlock()
		_, err := l.Conn.Write(b)
		l.mu.Lock()
		if err != nil {
			l.closeLocked()
		}
	}
	return true
}
