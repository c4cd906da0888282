// Package netwatch tells which network interfaces and addresses the machine
// has, when they change, and when the machine has been asleep.
//
// [Snapshot] is one look at the network. [Subscribe] reports changes. To miss
// none, subscribe first and look afterwards; [Current] then costs nothing.
//
// Changes are learnt from the operating system where it offers to tell: an
// rtnetlink socket on Linux, a route socket on macOS and the BSDs, the IP
// helper on Windows. Everywhere the network is also polled, slowly where there
// are notifications and every other second where there are none or where they
// are denied.
package netwatch

import (
	"context"
	"sync"
)

// Event says that the network is not what it was.
type Event struct {
	// State is the network now.
	State State

	// Resumed is set when the machine slept, or the process was stopped, for
	// more than a few seconds: connections may have died unnoticed, even if
	// State is as before.
	Resumed bool
}

// Snapshot takes one look at the network: all interfaces, including those that
// are down. Where the platform tells, addresses that cannot be used yet
// because their uniqueness is still being checked (RFC 4862, section 5.4) are
// left out; an [Event] follows when they can.
func Snapshot() (State, error) { return snapshot() }

// Current returns the network as it is known to those who have subscribed: as of the
// last [Event], or of the first subscription. If nobody has, it is Snapshot.
func Current() (State, error) {
	if s, ok := shared.current(); ok {
		return s, nil
	}
	return snapshot()
}

// Subscribe arranges for f to be called after each change of the network and
// after each sleep of the machine, until cancel is called. Bursts of changes
// are reported once, when they have calmed down.
//
// Calls of f come one at a time, from a goroutine shared by all subscribers of
// the process, so f should be quick. Once cancel has returned, f is not running
// and will not be called again; for that reason f must not call cancel itself.
// Further calls of cancel do nothing. After the last subscriber has cancelled
// no goroutine and no socket is left.
func Subscribe(f func(Event)) (cancel func()) {
	return shared.subscribe(f)
}

// shared is the one hub of the process.
var shared = hub{start: func(publish func(Event)) (now State, stop func()) {
	return start(system, publish)
}}

// hub shares one watch among subscribers: it runs while there are any.
type hub struct {
	start func(publish func(Event)) (now State, stop func())

	mu    sync.Mutex // guards what follows
	subs  map[*subscriber]struct{}
	watch int    // how many watches were started: the last is the one that counts
	stop  func() // stops the watch; set while there are subscribers
	state State  // as last published; nil: it could not be seen
}

// subscriber is one call of Subscribe.
type subscriber struct {
	mu sync.Mutex // held while f runs
	f  func(Event)
}

func (s *subscriber) call(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.f != nil {
		s.f(e)
	}
}

func (s *subscriber) silence() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.f = nil
}

func (h *hub) subscribe(f func(Event)) (cancel func()) {
	s := &subscriber{f: f}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.subs) == 0 {
		h.subs = make(map[*subscriber]struct{})
		h.watch++
		watch := h.watch
		h.state, h.stop = h.start(func(e Event) { h.publish(watch, e) })
	}
	h.subs[s] = struct{}{}
	return sync.OnceFunc(func() {
		h.mu.Lock()
		delete(h.subs, s)
		var stop func()
		if len(h.subs) == 0 {
			stop, h.stop = h.stop, nil
		}
		h.mu.Unlock()
		s.silence()
		if stop != nil {
			stop()
		}
	})
}

// current returns the state that the subscribers know, if there are any.
func (h *hub) current() (State, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state, len(h.subs) > 0 && h.state != nil
}

// publish passes on what a watch has seen. One that is being stopped may still be looking
// when the next has begun, and what it sees then is out of date.
func (h *hub) publish(watch int, e Event) {
	h.mu.Lock()
	if watch != h.watch {
		h.mu.Unlock()
		return
	}
	h.state = e.State
	subs := make([]*subscriber, 0, len(h.subs))
	for s := range h.subs {
		subs = append(subs, s)
	}
	h.mu.Unlock()
	for _, s := range subs {
		s.call(e)
	}
}

// start begins a watch of p. It returns the network as it is now, or nil if that
// cannot be seen; all changes from then on are published.
func start(p platform, publish func(Event)) (now State, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	w := newWatch(p, publish)
	now = w.track.state // run changes it
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.run(ctx)
	}()
	return now, func() {
		cancel()
		<-done
	}
}
