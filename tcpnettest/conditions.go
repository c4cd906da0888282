package tcpnettest

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Conditions say how packets fare on their way. The zero value is a network without
// delay or loss.
type Conditions struct {
	// Latency is the time that every packet takes, give or take a few percent.
	Latency time.Duration

	// Jitter is added to it, a random part of it for each packet, so that
	// packets overtake one another. TCP puts them into order again.
	Jitter time.Duration

	// Loss is the probability, from 0 to 1, that a packet is lost. TCP sends
	// it again, later and later. A segment of TCP has up to 16 KiB here and is
	// lost as a whole.
	Loss float64

	// Duplicate is the probability that a datagram arrives twice.
	Duplicate float64

	// Bandwidth is how many bytes per second leave one interface of a host;
	// 0 is without limit.
	Bandwidth int
}

// Ethernet is what a LAN begins with.
var Ethernet = Conditions{Latency: 100 * time.Microsecond}

// WiFi is a busy wireless network: multicast suffers, and TCP is slow at times.
var WiFi = Conditions{Latency: 2 * time.Millisecond, Jitter: 20 * time.Millisecond, Loss: 0.03, Bandwidth: 5 << 20}

// check panics if there can be no such conditions.
func (c Conditions) check() {
	probability := func(p float64) bool { return p >= 0 && p <= 1 }
	switch {
	case c.Latency < 0, c.Jitter < 0, c.Bandwidth < 0:
		panic(fmt.Sprintf("tcpnettest: conditions %+v: a time or the bandwidth is negative", c))
	case !probability(c.Loss), !probability(c.Duplicate):
		panic(fmt.Sprintf("tcpnettest: conditions %+v: a probability is not from 0 to 1", c))
	}
}

// fate decides what becomes of a packet: whether it arrives, and after which time
// on the way.
func (c Conditions) fate(rnd func() *rand.Rand) (delay int64, lost bool) {
	if c.Loss > 0 && rnd().Float64() < c.Loss {
		return 0, true
	}
	delay = int64(c.Latency) + unevenness(int64(c.Latency), rnd())
	if c.Jitter > 0 {
		delay += rnd().Int64N(int64(c.Jitter))
	}
	return delay, false
}

// unevenness is what a time varies by. If all took the same time, much would happen
// at the same instant, and in which order timers go off then is left to chance.
func unevenness(t int64, rnd *rand.Rand) int64 { return rnd.Int64N(t/32 + 100) }

// SetConditions sets those of all switches, now and later, and forgets what
// [LAN.SetBetween] has set.
func (l *LAN) SetConditions(c Conditions) {
	c.check()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tracef("conditions %+v", c)
	l.conditions = c
	for _, s := range l.switches {
		s.conditions = c
	}
	clear(l.between)
}

// SetConditions sets those of one switch.
func (s *Switch) SetConditions(c Conditions) {
	c.check()
	s.lan.mu.Lock()
	defer s.lan.mu.Unlock()
	s.lan.tracef("conditions %+v on switch %d", c, s.number)
	s.conditions = c
}

// SetBetween sets the conditions of what goes from a to b and from b to a, instead
// of those of their switch.
func (l *LAN) SetBetween(a, b *Host, c Conditions) {
	c.check()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tracef("conditions %+v between %v and %v", c, a, b)
	l.between[pair{a, b}], l.between[pair{b, a}] = c, c
}

// pair is one direction between two hosts.
type pair struct{ from, to *Host }

// conditionsOf returns those of a packet. It is called with mu held.
func (l *LAN) conditionsOf(sw *Switch, from, to *Host) Conditions {
	if c, ok := l.between[pair{from, to}]; ok {
		return c
	}
	return sw.conditions
}
