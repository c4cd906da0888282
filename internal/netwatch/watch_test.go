package netwatch

import (
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeNetwork is a platform whose network is a number of interfaces.
type fakeNetwork struct {
	denied bool // has no notifications

	mu      sync.Mutex // guards what follows
	n       int
	failing bool
	looks   int
	changes chan struct{}
}

func (f *fakeNetwork) platform() platform {
	return platform{snapshot: f.snapshot, notify: f.notify}
}

func (f *fakeNetwork) snapshot() (State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looks++
	if f.failing {
		return nil, errors.New("no memory")
	}
	s := make(State, f.n)
	for i := range s {
		s[i].Interface = net.Interface{Index: i + 1}
	}
	return s, nil
}

func (f *fakeNetwork) notify() (<-chan struct{}, func(), error) {
	if f.denied {
		return nil, nil, errors.New("denied")
	}
	f.changes = make(chan struct{}, 1)
	return f.changes, func() {}, nil
}

func (f *fakeNetwork) set(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n = n
}

func (f *fakeNetwork) fail(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failing = on
}

func (f *fakeNetwork) looked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.looks
}

func (f *fakeNetwork) tell() {
	select {
	case f.changes <- struct{}{}:
	default:
	}
}

// seen is an event as it was published.
type seen struct {
	after time.Duration // since the start
	n     int           // interfaces
}

// script runs a watch of f in virtual time while body changes the network, and
// compares what was published.
func script(t *testing.T, f *fakeNetwork, body func(), want ...seen) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var got []seen
		_, stop := start(f.platform(), func(e Event) {
			if e.Resumed {
				t.Error("Resumed is set")
			}
			got = append(got, seen{time.Since(begin), len(e.State)})
		})
		body()
		stop()
		if !slices.Equal(got, want) {
			t.Errorf("published %v, want %v", got, want)
		}
	})
}

func TestOneChange(t *testing.T) {
	f := &fakeNetwork{n: 1}
	script(t, f, func() {
		time.Sleep(time.Second)
		f.set(2)
		f.tell()
		time.Sleep(time.Minute)
	}, seen{time.Second + quiet, 2})
}

func TestBurstIsOneEvent(t *testing.T) {
	f := &fakeNetwork{}
	script(t, f, func() {
		for i := range 10 {
			f.set(i + 1)
			f.tell()
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
	}, seen{90*time.Millisecond + quiet, 10})
}

func TestEndlessBurstIsNotWaitedFor(t *testing.T) {
	f := &fakeNetwork{}
	script(t, f, func() {
		for i := range 60 {
			f.set(i + 1)
			f.tell()
			time.Sleep(21 * time.Millisecond)
		}
		time.Sleep(time.Second)
	},
		// The first burst begins at 0 and the second with the first
		// notification that follows it, at 504 ms; both are cut.
		seen{longest, 24}, seen{504*time.Millisecond + longest, 48}, seen{1239*time.Millisecond + quiet, 60})
}

func TestNotificationWithoutChange(t *testing.T) {
	f := &fakeNetwork{n: 3}
	script(t, f, func() {
		for range 5 {
			f.tell()
			time.Sleep(time.Second)
		}
	})
	if f.looks != 1+5 {
		t.Errorf("looked %d times, want once per notification and at the start", f.looks)
	}
}

func TestChangeAndBackWithinBurst(t *testing.T) {
	f := &fakeNetwork{n: 3}
	script(t, f, func() {
		f.set(2)
		f.tell()
		time.Sleep(10 * time.Millisecond)
		f.set(3)
		f.tell()
		time.Sleep(time.Second)
	})
}

func TestLostNotificationIsMadeUpForByPolling(t *testing.T) {
	f := &fakeNetwork{n: 1}
	script(t, f, func() {
		time.Sleep(time.Second)
		f.set(2)
		time.Sleep(time.Minute)
	}, seen{pollNotified, 2})
}

func TestPollingAlone(t *testing.T) {
	f := &fakeNetwork{n: 1, denied: true}
	script(t, f, func() {
		time.Sleep(3 * time.Second)
		f.set(2)
		time.Sleep(time.Minute)
	}, seen{2 * pollAlone, 2})
}

func TestNotificationsThatEndTurnIntoPolling(t *testing.T) {
	f := &fakeNetwork{n: 1}
	script(t, f, func() {
		time.Sleep(time.Second)
		f.set(2)
		close(f.changes)
		time.Sleep(time.Second)
		f.set(3)
		time.Sleep(time.Minute)
	}, seen{time.Second + quiet, 2}, seen{time.Second + quiet + pollAlone, 3})
}

func TestFailedLookIsRepeated(t *testing.T) {
	f := &fakeNetwork{n: 1}
	script(t, f, func() {
		f.fail(true)
		f.set(2)
		f.tell()
		time.Sleep(time.Second)
		f.fail(false)
		time.Sleep(time.Minute)
	}, seen{quiet + pollNotified, 2})
}

func TestIdleCost(t *testing.T) {
	f := &fakeNetwork{n: 1}
	script(t, f, func() { time.Sleep(time.Hour) })
	if looks := f.looked(); looks > 121 {
		t.Errorf("looked %d times in an hour", looks)
	}
}

// A machine that slept is modelled by its outcome for the tracker, as virtual
// time has one clock only; TestSlept covers the decision itself.
func TestResumedIsPublishedWithoutChange(t *testing.T) {
	f := &fakeNetwork{n: 2}
	var got []Event
	w := newWatch(f.platform(), func(e Event) { got = append(got, e) })
	w.look(time.Now(), true)
	w.look(time.Now(), false)
	if len(got) != 1 || !got[0].Resumed || len(got[0].State) != 2 {
		t.Errorf("published %v", got)
	}
	f.fail(true)
	w.look(time.Now(), true)
	if len(got) != 2 || !got[1].Resumed || len(got[1].State) != 2 {
		t.Errorf("after a failed look: published %v, want the state last seen", got)
	}
}

// Time that a subscriber takes is not sleep.
func TestSlowSubscriber(t *testing.T) {
	f := &fakeNetwork{n: 1}
	synctest.Test(t, func(t *testing.T) {
		var got []Event
		_, stop := start(f.platform(), func(e Event) {
			got = append(got, e)
			time.Sleep(time.Minute)
		})
		f.set(2)
		f.tell()
		time.Sleep(10 * time.Minute)
		stop()
		if len(got) != 1 || got[0].Resumed {
			t.Errorf("published %v", got)
		}
	})
}
