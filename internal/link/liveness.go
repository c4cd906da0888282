package link

import "time"

// lastLook is how long before the time-out a peer is asked a last time, and the
// least lateness of its own timers by which a node concludes that it was not
// running.
const lastLook = 250 * time.Millisecond

// Liveness decides when to ask whether a peer is alive, and when to give it up
// (PROTOCOL.md section 7). It is told the time and owns no timer. The zero value
// with Interval and Timeout set is ready for use after Heard.
type Liveness struct {
	Interval time.Duration // silence after which PING is sent
	Timeout  time.Duration // silence after which the peer is given up

	heard time.Time // something came in
	asked time.Time // the first PING since then was sent; zero if none was
	last  bool      // the last look is on
	due   time.Time // when Tick wants to be called
}

// Verdict is what Tick has found.
type Verdict uint8

// The verdicts of Tick.
const (
	Fine Verdict = iota
	Ask          // send PING
	Dead         // give the peer up
)

// Heard says that something came in.
func (l *Liveness) Heard(now time.Time) {
	l.heard, l.asked, l.last = now, time.Time{}, false
	l.due = now.Add(l.Interval)
}

// Due returns when Tick is to be called next.
func (l *Liveness) Due() time.Time { return l.due }

// Asked reports whether a PING waits for its answer.
func (l *Liveness) Asked() bool { return !l.asked.IsZero() }

// Tick looks at the time. It does nothing before Due.
func (l *Liveness) Tick(now time.Time) Verdict {
	if now.Before(l.due) {
		return Fine
	}
	late := now.Sub(l.due)
	// A node that could not run until now may have answers lying unread. It
	// counts the silence from here.
	stalled := late > max(lastLook, l.Timeout/20)
	switch {
	case l.asked.IsZero():
		l.asked = now
		// Silent from heard on, but never held against a peer that was not
		// asked in time.
		l.due = now.Add(max(l.Timeout-l.Interval-min(late, l.Interval), lastLook) - lastLook)
	case stalled:
		l.asked, l.last = now, false
		l.due = now.Add(max(l.Timeout-l.Interval, 2*lastLook) - lastLook)
	case !l.last:
		l.last = true
		l.due = now.Add(lastLook)
	default:
		return Dead
	}
	return Ask
}
