package mesh

import (
	"time"

	"example.com/tcpnet/internal/link"
)

// coalesce is how much later than due the PINGs of several peers go out together.
const coalesce = 100 * time.Millisecond

// steady is how long a link or connection has to last to count as good: others are
// replaced after a wait that grows with their number.
const steady = 10 * time.Second

// freshRTT is how old a measured round trip may become before it is measured anew.
const freshRTT = time.Minute

// tick does what has become due.
func (c *core) tick(now time.Time) {
	c.wake = time.Time{}
	for _, s := range c.sorted() {
		if c.sessions[s.id] != s {
			continue // an earlier one took it along
		}
		if !s.probe.IsZero() && !s.probe.After(now) {
			if now.Sub(s.probe) > tolerance {
				// This node was not running in time: the answer may lie
				// unread.
				s.probe = now.Add(probeTime)
			} else {
				c.unanswered(now, s)
				continue
			}
		}
		if s.adopted && !s.departing {
			switch s.live.Tick(now) {
			case link.Ask:
				c.ping(now, s)
			case link.Dead:
				c.giveUp(now, s)
				continue
			}
			if now.Sub(s.sampled) > freshRTT && s.pinged.IsZero() && now.Sub(s.since) > time.Second {
				c.ping(now, s)
			}
			if s.state == connWaiting && !s.redial.IsZero() && !s.redial.After(now) {
				c.openNext(now, s, 0)
			}
		}
	}
	c.ask(now)
	c.rearm()
}

// rearm finds out when tick is to be called next.
func (c *core) rearm() {
	for _, s := range c.sessions {
		c.at(s.probe)
		if s.adopted && !s.departing {
			due := s.live.Due()
			if !s.live.Asked() {
				due = due.Add(coalesce)
			}
			c.at(due)
			if s.state == connWaiting {
				c.at(s.redial)
			}
		}
	}
	for _, p := range c.peers {
		if p.sess != nil && !p.askAt.IsZero() && !c.leaving {
			c.at(later(p.askAt, c.askNext))
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
