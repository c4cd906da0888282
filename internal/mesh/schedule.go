package mesh

import (
	"math/rand/v2"
	"time"
)

// The dial schedule (PROTOCOL.md section 5.3 and 5.4).
const (
	retryFirst = 250 * time.Millisecond
	retryCap   = 30 * time.Second
	// The cap grows with the outage, so that a peer that was away for a
	// minute is found again within about a second and one that was away for
	// an hour does not cost a dial a second.
	retryCapFirst = time.Second
	outageShare   = 32

	// The moment that others are given to dial us first. Both sides dial in
	// the end; the figures only make two links at once rare.
	graceSmaller = 10 * time.Millisecond // we have the smaller ID
	graceLarger  = 50 * time.Millisecond
	// The same where handshakes are dear, and there also for those that announce
	// themselves, as long as this node is new itself.
	graceDear = 100 * time.Millisecond
	youth     = time.Second

	// No target that has never answered is dialled more often than this,
	// whatever discovery says of it.
	strangerGap = time.Second
)

// schedule says when one target is to be dialled. It is told the time and owns
// no timer.
type schedule struct {
	due     time.Time // zero: not planned
	dialing bool      // an attempt is under way
	retry   bool      // it follows one that failed
	tries   int       // attempts that failed in a row
	since   time.Time // when it was first missed
	last    time.Time // when the last attempt began
}

// plan brings the next attempt forward to at, if none is planned before.
func (s *schedule) plan(at time.Time) {
	if !s.dialing && (s.due.IsZero() || at.Before(s.due)) {
		s.due = at
	}
	if s.since.IsZero() {
		s.since = at
	}
}

// start says that an attempt begins.
func (s *schedule) start(now time.Time) {
	s.due, s.dialing, s.last = time.Time{}, true, now
}

// failed says that the attempt has ended without a link, and plans the next.
func (s *schedule) failed(now time.Time, rnd *rand.Rand) {
	s.dialing = false
	s.due = now.Add(s.backoff(now, rnd))
	s.tries++
}

// backoff returns how long to wait after a failure: doubling, capped by the
// outage, the upper half of it at random.
func (s *schedule) backoff(now time.Time, rnd *rand.Rand) time.Duration {
	d := retryFirst << min(s.tries, 10)
	longest := min(max(now.Sub(s.since)/outageShare, retryCapFirst), retryCap)
	d = min(d, longest)
	return d/2 + time.Duration(rnd.Int64N(int64(d/2)+1))
}

// postpone plans the next attempt no earlier than at.
func (s *schedule) postpone(at time.Time) {
	if !s.due.IsZero() && s.due.Before(at) {
		s.due = at
	}
}

// reset forgets the failures: something has changed that makes the next attempt
// worth while.
func (s *schedule) reset() { s.tries, s.since = 0, time.Time{} }

// stop plans no more attempts.
func (s *schedule) stop() { *s = schedule{last: s.last, dialing: s.dialing, retry: s.retry} }
