package mesh

import (
	"net/netip"
	"time"
)

// What strangers can make a node dial: nodes that it has never met, of which only
// discovery tells, which anybody on the network can feed with lies.
const (
	// machineBurst and machineEvery bound attempts at one machine, whatever
	// the port: as many as there may be nodes, and then one every so often.
	machineBurst = 128
	machineEvery = 125 * time.Millisecond

	maxTargets = 4096 // remembered
)

// targets limits how often addresses of strangers are dialled: each no more than
// once in strangerGap, under however many names they are announced. The zero value
// knows none.
type targets struct {
	last     map[netip.AddrPort]time.Time // when it was dialled
	machines map[netip.Addr]allowed
}

// allowed is a token bucket.
type allowed struct {
	used float64 // attempts not yet made good for
	at   time.Time
}

// take returns those of the addresses that may be dialled now, and takes note that
// they are. If there are none, it returns when to ask again.
func (t *targets) take(now time.Time, addrs []netip.AddrPort) (free []netip.AddrPort, again time.Time) {
	again = now.Add(strangerGap)
	if len(t.last) >= maxTargets || len(t.machines) >= maxTargets {
		t.prune(now)
	}
	for _, a := range addrs {
		if last, ok := t.last[a]; ok && now.Sub(last) < strangerGap {
			continue
		}
		b := t.machines[a.Addr()]
		b.used = max(b.used-float64(now.Sub(b.at))/float64(machineEvery), 0)
		b.at = now
		if b.used+1 > machineBurst || len(t.last) >= maxTargets || len(t.machines) >= maxTargets {
			continue
		}
		b.used++
		if t.last == nil {
			t.last, t.machines = make(map[netip.AddrPort]time.Time), make(map[netip.Addr]allowed)
		}
		t.last[a], t.machines[a.Addr()] = now, b
		free = append(free, a)
	}
	return free, again
}

// prune forgets what limits nothing any more.
func (t *targets) prune(now time.Time) {
	for a, last := range t.last {
		if now.Sub(last) >= strangerGap {
			delete(t.last, a)
		}
	}
	for a, b := range t.machines {
		if float64(now.Sub(b.at)) >= b.used*float64(machineEvery) {
			delete(t.machines, a)
		}
	}
}
