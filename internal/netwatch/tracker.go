package netwatch

import "time"

const (
	// quiet is how long the platform has to be silent for a burst of
	// notifications to be over. Bringing an interface up gives about ten
	// within a few milliseconds.
	quiet = 50 * time.Millisecond

	// longest is how long a burst that does not end is waited for.
	longest = 500 * time.Millisecond

	// pollNotified is how often the network is looked at where the platform
	// notifies, in case it failed to.
	pollNotified = 30 * time.Second

	// pollAlone is how often the network is looked at where it does not.
	pollAlone = 2 * time.Second
)

// tracker decides when to look at the network and what to say of it. It has no
// clock: times are handed in.
type tracker struct {
	state  State         // as last seen
	poll   time.Duration // at least this often
	looked time.Time     // when state was last asked for
	burst  burst
}

// due returns when the network should be looked at.
func (t *tracker) due() time.Time {
	at := t.looked.Add(t.poll)
	if end, ok := t.burst.end(); ok && end.Before(at) {
		return end
	}
	return at
}

// look records that the network is being looked at, which answers all
// notifications so far.
func (t *tracker) look(now time.Time) {
	t.looked = now
	t.burst = burst{}
}

// seen takes in what was seen and returns the event to publish, if any.
func (t *tracker) seen(s State, resumed bool) (Event, bool) {
	changed := !t.state.Equal(s)
	t.state = s
	return Event{State: s, Resumed: resumed}, changed || resumed
}

// burst is a run of notifications in quick succession.
type burst struct {
	first, last time.Time // zero when there were none
}

func (b *burst) notify(now time.Time) {
	if b.first.IsZero() {
		b.first = now
	}
	b.last = now
}

// end returns when the burst counts as over, if there is one.
func (b *burst) end() (time.Time, bool) {
	if b.first.IsZero() {
		return time.Time{}, false
	}
	end := b.last.Add(quiet)
	if limit := b.first.Add(longest); limit.Before(end) {
		end = limit
	}
	return end, true
}
