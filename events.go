package tcpnet

import (
	"context"
	"iter"
	"sync"
)

// Event is one of [Joined], [Left], [Rejected], [Dropped], [NetworkChanged] and
// [Lagged].
type Event interface{ event() }

// Joined tells of a new connection.
type Joined struct{ Conn *Conn }

// Left tells that a connection has ended. There is exactly one for every Joined.
type Left struct {
	Conn   *Conn
	Reason error // ErrLeft, ErrTimeout, ErrRestarted, ErrReset, ErrReplaced, ErrSlow or ErrClosed
}

// Rejected tells of a node that was not connected to, and why. What is unknown of
// the peer is empty.
type Rejected struct {
	Peer PeerInfo
	Err  error
}

// Dropped tells that messages to a peer were dropped: it read too slowly, or its
// connection has ended before they were written. It tells at once of the first, and
// of all that follow once a second at most; it may come after Left.
type Dropped struct {
	Conn            *Conn
	Messages, Bytes uint64 // since the last event of this kind for Conn
}

// NetworkChanged tells that an interface or address of the machine has come or
// gone, or that the machine has slept. The node has acted upon it already.
type NetworkChanged struct{}

// Lagged tells that the reader of events was too slow and has missed N of them.
// Connections and Status say how things are now.
type Lagged struct{ N int }

func (Joined) event()         {}
func (Left) event()           {}
func (Rejected) event()       {}
func (Dropped) event()        {}
func (NetworkChanged) event() {}
func (Lagged) event()         {}

// maxEvents is how many events wait for one reader.
const maxEvents = 1024

// Events returns what happens from now on, beginning with a Joined for every
// connection that is live already, and in the first call after Join with what was
// Rejected until then. It ends with ctx, or when the node is closed and all is told,
// and is to be ranged over once. It never blocks the node: a reader that is more than
// 1,024 events behind misses some and is told so.
func (n *Node) Events(ctx context.Context) iter.Seq[Event] {
	sub := &subscription{more: make(chan struct{}, 1)}
	n.mu.Lock()
	for _, e := range n.early {
		sub.put(e)
	}
	n.early, n.watched = nil, true
	for _, c := range n.connectionsLocked() {
		sub.put(Joined{c})
	}
	if n.ended {
		sub.end()
	} else {
		n.subs[sub] = struct{}{}
	}
	n.mu.Unlock()
	forget := func() {
		n.mu.Lock()
		delete(n.subs, sub)
		n.mu.Unlock()
	}
	stop := context.AfterFunc(ctx, forget)
	return func(yield func(Event) bool) {
		defer stop()
		defer forget()
		for ctx.Err() == nil {
			e, ended := sub.take()
			if e != nil {
				if !yield(e) {
					return
				}
				continue
			}
			if ended {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-sub.more:
			}
		}
	}
}

// maxEarly is how many rejections are kept for the first reader.
const maxEarly = 64

// tellLocked gives an event to all who want them. It is called with mu held, so that
// all get them in the same order.
func (n *Node) tellLocked(e Event) {
	if _, ok := e.(Rejected); ok && !n.watched && len(n.early) < maxEarly {
		n.early = append(n.early, e)
	}
	for sub := range n.subs {
		sub.put(e)
	}
}

// subscription is what one reader of events has not read yet.
type subscription struct {
	more chan struct{} // has an element when there is something new

	mu     sync.Mutex // guards what follows
	queue  []Event
	missed int
	ended  bool
}

func (s *subscription) put(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) >= maxEvents {
		s.missed++
	} else {
		if s.missed > 0 {
			s.queue = append(s.queue, Lagged{s.missed})
			s.missed = 0
		}
		s.queue = append(s.queue, e)
	}
	s.wake()
}

func (s *subscription) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.wake()
}

func (s *subscription) wake() {
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// take returns the next event, or nil, and whether none will follow.
func (s *subscription) take() (Event, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 && s.missed > 0 {
		n := s.missed
		s.missed = 0
		return Lagged{n}, false
	}
	if len(s.queue) == 0 {
		return nil, s.ended
	}
	e := s.queue[0]
	s.queue[0] = nil
	s.queue = s.queue[1:]
	return e, false
}
