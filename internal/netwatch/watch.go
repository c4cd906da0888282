package netwatch

import (
	"context"
	"time"
)

// platform is what a watch needs of the operating system.
type platform struct {
	// snapshot looks at the network.
	snapshot func() (State, error)

	// notify begins to report changes: changes gets a value after each, or
	// after several when they are not received in time, and is closed when
	// the platform fails to go on. stop ends it and waits for what it left
	// running. An error means that this platform, or this process on it, has
	// to do with polling.
	notify func() (changes <-chan struct{}, stop func(), err error)
}

// system is the platform that the process runs on.
var system = platform{snapshot: snapshot, notify: notify}

// watch is the loop around a tracker.
type watch struct {
	platform platform
	publish  func(Event)
	track    tracker
	changes  <-chan struct{} // nil when there are no notifications
	stop     func()
}

// newWatch returns a watch that knows the network as it is now.
func newWatch(p platform, publish func(Event)) *watch {
	w := &watch{platform: p, publish: publish, stop: func() {}}
	w.track.poll = pollAlone
	if changes, stop, err := p.notify(); err == nil {
		w.changes, w.stop = changes, stop
		w.track.poll = pollNotified
	}
	// After notify, so that no change falls between the two.
	w.track.look(time.Now())
	if s, err := p.snapshot(); err == nil {
		w.track.state = s
	}
	return w
}

// run publishes events until ctx ends.
func (w *watch) run(ctx context.Context) {
	defer w.stop()
	wake := time.NewTimer(0)
	defer wake.Stop()
	last := time.Now()
	for {
		wake.Reset(min(heartbeat, max(0, time.Until(w.track.due()))))
		select {
		case <-ctx.Done():
			return
		case _, ok := <-w.changes:
			if !ok {
				w.changes = nil
				w.track.poll = pollAlone
			}
			w.track.burst.notify(time.Now())
		case <-wake.C:
		}
		now := time.Now()
		resumed := slept(elapsed(last, now))
		if resumed || !now.Before(w.track.due()) {
			w.look(now, resumed)
			now = time.Now() // the subscribers' time is not sleep
		}
		last = now
	}
}

// look looks at the network and publishes what is new. A look that failed is
// repeated with the next notification or poll.
func (w *watch) look(now time.Time, resumed bool) {
	w.track.look(now)
	s, err := w.platform.snapshot()
	if err != nil {
		s = w.track.state
	}
	if e, ok := w.track.seen(s, resumed); ok {
		w.publish(e)
	}
}
