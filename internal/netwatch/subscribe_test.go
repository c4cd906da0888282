package netwatch

import (
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// fakeHub is a hub whose watch publishes when told to.
type fakeHub struct {
	hub
	now     State
	running int
	publish func(Event)
}

func newFakeHub() *fakeHub {
	f := new(fakeHub)
	f.start = func(publish func(Event)) (now State, stop func()) {
		f.running++
		f.publish = publish
		return f.now, func() { f.running-- }
	}
	return f
}

func TestSubscribersShareOneWatch(t *testing.T) {
	h := newFakeHub()
	var a, b int
	cancelA := h.subscribe(func(Event) { a++ })
	cancelB := h.subscribe(func(Event) { b++ })
	if h.running != 1 {
		t.Fatalf("%d watches run, want 1", h.running)
	}
	h.publish(Event{})
	cancelA()
	cancelA()
	h.publish(Event{})
	if h.running != 1 {
		t.Fatalf("%d watches run with one subscriber left", h.running)
	}
	cancelB()
	if a != 1 || b != 2 {
		t.Errorf("%d and %d calls, want 1 and 2", a, b)
	}
	if h.running != 0 {
		t.Errorf("%d watches run with no subscriber", h.running)
	}
	h.subscribe(func(Event) {})()
	if h.running != 0 {
		t.Errorf("%d watches run after another round", h.running)
	}
}

func TestCurrentIsWhatTheSubscribersKnow(t *testing.T) {
	one, two := State{{Interface: net.Interface{Index: 1}}}, State{{Interface: net.Interface{Index: 2}}}
	h := newFakeHub()
	h.now = one
	if s, ok := h.current(); ok {
		t.Errorf("current = %v before anybody has subscribed", s)
	}
	cancel := h.subscribe(func(Event) {})
	if s, ok := h.current(); !ok || !s.Equal(one) {
		t.Errorf("current = %v, %v, want the state at the beginning", s, ok)
	}
	h.publish(Event{State: two})
	if s, ok := h.current(); !ok || !s.Equal(two) {
		t.Errorf("current = %v, %v, want the published state", s, ok)
	}
	cancel()
	if s, ok := h.current(); ok {
		t.Errorf("current = %v after the last has cancelled", s)
	}
}

// The watch of those who have all cancelled may be in the middle of a look when somebody
// subscribes anew. What it saw is older than what the new watch began with.
func TestAWatchThatEndsTellsTheNextSubscriberNothing(t *testing.T) {
	one, two := State{{Interface: net.Interface{Index: 1}}}, State{{Interface: net.Interface{Index: 2}}}
	h := newFakeHub()
	h.now = one
	cancel := h.subscribe(func(Event) {})
	ending := h.publish
	cancel()
	h.now = two
	cancel = h.subscribe(func(e Event) { t.Errorf("told of %v", e.State) })
	defer cancel()
	ending(Event{State: one})
	if s, ok := h.current(); !ok || !s.Equal(two) {
		t.Errorf("current = %v, %v, want the state that the new watch began with", s, ok)
	}
}

func TestCancelWaitsForTheCall(t *testing.T) {
	h := newFakeHub()
	entered, leave := make(chan struct{}), make(chan struct{})
	cancel := h.subscribe(func(Event) {
		close(entered)
		<-leave
	})
	go h.publish(Event{})
	<-entered
	cancelled := make(chan struct{})
	go func() {
		cancel()
		close(cancelled)
	}()
	select {
	case <-cancelled:
		t.Fatal("cancel returned while f ran")
	case <-time.After(20 * time.Millisecond):
	}
	close(leave)
	<-cancelled
}

// The real thing: nothing is left behind, however often and by how many it is
// used.
func TestSubscribeLeavesNothing(t *testing.T) {
	defer goleak.VerifyNone(t)
	before := openFiles(t)
	for range 20 {
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				cancel := Subscribe(func(Event) {})
				cancel()
			})
		}
		all.Wait()
	}
	if after := openFiles(t); after > before {
		t.Errorf("%d files open, %d before", after, before)
	}
}
