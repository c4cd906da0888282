package link

import (
	"testing"
	"time"
)

// A watch is Liveness with a clock that is as late as the test likes.
type watch struct {
	Liveness
	now time.Time
}

func watching() *watch {
	w := &watch{Liveness{Interval: 3 * time.Second, Timeout: 10 * time.Second}, time.Unix(1000, 0)}
	w.Heard(w.now)
	return w
}

// next lets time go on until late after Tick is due.
func (w *watch) next(late time.Duration) Verdict {
	w.now = w.Due().Add(late)
	return w.Tick(w.now)
}

func TestSilentPeerIsAskedThenGivenUp(t *testing.T) {
	w := watching()
	heard := w.now
	if w.Tick(w.now.Add(3*time.Second-1)) != Fine || w.Asked() {
		t.Error("asked before the interval is over")
	}
	want := []struct {
		at time.Duration
		Verdict
	}{{3 * time.Second, Ask}, {10*time.Second - lastLook, Ask}, {10 * time.Second, Dead}}
	for _, step := range want {
		if v := w.next(0); v != step.Verdict || w.now.Sub(heard) != step.at {
			t.Errorf("after %v: %v, want %v after %v", w.now.Sub(heard), v, step.Verdict, step.at)
		}
	}
}

func TestPeerThatIsHeardLives(t *testing.T) {
	w := watching()
	for range 100 {
		if v := w.next(0); v != Ask || !w.Asked() {
			t.Fatal(v)
		}
		w.now = w.now.Add(7*time.Second - 1) // after the last look, if need be
		w.Tick(w.now)
		w.Heard(w.now)
		if w.Asked() {
			t.Fatal("asked, although an answer has come")
		}
	}
}

// Timers that are a little late do not put the end off.
func TestLateTimersOfABusyNode(t *testing.T) {
	for _, late := range []time.Duration{time.Millisecond, 50 * time.Millisecond, 200 * time.Millisecond} {
		w := watching()
		heard := w.now
		for w.next(late) != Dead {
		}
		if d := w.now.Sub(heard); d > 10*time.Second+2*late {
			t.Errorf("timers late by %v: given up after %v", late, d)
		}
	}
}

// A node that was not running blames nobody: it asks again and waits.
func TestOwnLatenessBlamesNobody(t *testing.T) {
	for _, asked := range []int{0, 1, 2} { // how far it had come when it was stopped
		w := watching()
		for range asked {
			w.next(0)
		}
		if v := w.next(time.Hour); v != Ask {
			t.Fatalf("stopped after %d questions: %v at once", asked, v)
		}
		woken := w.now
		for w.next(0) != Dead {
		}
		if d := w.now.Sub(woken); d < 2*lastLook || d > 10*time.Second {
			t.Errorf("stopped after %d questions: given up %v later", asked, d)
		}
	}
}

// Short times, as of the Fast preset, keep the promise too.
func TestTimeoutIsKeptWithOtherTimes(t *testing.T) {
	for _, l := range []Liveness{
		{Interval: 500 * time.Millisecond, Timeout: 2 * time.Second},
		{Interval: time.Second, Timeout: 3 * time.Second},
	} {
		w := &watch{l, time.Unix(0, 0)}
		w.Heard(w.now)
		heard := w.now
		for w.next(0) != Dead {
		}
		if d := w.now.Sub(heard); d != l.Timeout {
			t.Errorf("%v/%v: given up after %v", l.Interval, l.Timeout, d)
		}
	}
}
