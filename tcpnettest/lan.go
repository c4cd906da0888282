package tcpnettest

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"
)

// LAN is a local network in memory: hosts on one or more switches. Its methods are
// safe for concurrent use.
type LAN struct {
	t     *testing.T
	seed  uint64
	began time.Time

	mu         sync.Mutex // guards what follows and all that belongs to the LAN
	queue      queue
	timer      *time.Timer // set to the first event
	ticked     int64       // when the last event happened
	events     int
	ended      bool
	hosts      []*Host
	switches   []*Switch
	conditions Conditions
	between    map[pair]Conditions
	policies   map[pair]Policy
	closing    sync.WaitGroup // nodes of crashed processes
	trace      []string
	sum        uint64 // of all that was delivered, and when
	wire       func(line string)
}

// newLAN returns a LAN with one switch and no hosts.
func newLAN(t *testing.T, seed uint64) *LAN {
	l := &LAN{
		t: t, seed: seed, began: time.Now(),
		conditions: Ethernet,
		between:    make(map[pair]Conditions),
		policies:   make(map[pair]Policy),
	}
	l.timer = time.AfterFunc(time.Hour, l.tick)
	l.Switch()
	return l
}

// Seed returns the seed that all randomness of the LAN comes from.
func (l *LAN) Seed() uint64 { return l.seed }

// Switch is one broadcast domain: what is attached to it hears each other's
// multicast. No packet goes from one switch to another.
type Switch struct {
	lan        *LAN
	number     int
	conditions Conditions
	ports      []*port // in the order in which they were attached
	given      int     // the last byte of the address that was given last
}

// Switch adds a switch. The first one is there from the beginning, and is where
// [LAN.Host] attaches new hosts. Interfaces on the n-th have addresses of
// 10.0.n.0/24: there is room for 254.
func (l *LAN) Switch() *Switch {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &Switch{lan: l, number: len(l.switches) + 1, conditions: l.conditions}
	l.switches = append(l.switches, s)
	return s
}

// maxAddresses is how many there are on a switch: the last byte is neither 0 nor 255.
const maxAddresses = 254

// address returns the next one of the switch that is free. It is called with mu held.
func (s *Switch) address() netip.Prefix {
	for range maxAddresses {
		s.given = s.given%maxAddresses + 1
		a := netip.AddrFrom4([4]byte{10, byte(s.number >> 8), byte(s.number), byte(s.given)})
		if !slices.ContainsFunc(s.ports, func(p *port) bool { return p.has(a) }) {
			return netip.PrefixFrom(a, 24)
		}
	}
	panic(fmt.Sprintf("tcpnettest: all %d addresses of switch %d are in use", maxAddresses, s.number))
}

// Host adds a host and attaches it to the first switch by an interface eth0. Its
// name is also a name that addresses can have, as in "a:7000".
func (l *LAN) Host(name string) *Host {
	h := newHost(l, name)
	h.Attach(l.switches[0])
	return h
}

// Hosts adds n hosts, named h1, h2 and so on.
func (l *LAN) Hosts(n int) []*Host {
	var hosts []*Host
	for range n {
		hosts = append(hosts, l.Host(fmt.Sprintf("h%d", len(l.hosts)+1)))
	}
	return hosts
}

// random returns a source of randomness for one purpose.
func (l *LAN) random(purpose string) *rand.Rand {
	return rand.New(rand.NewPCG(l.seed, hash(purpose)))
}

func hash(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64()
}

// tracef takes note of what was done to the LAN. It is called with mu held.
func (l *LAN) tracef(format string, args ...any) {
	if l.ended {
		return
	}
	line := fmt.Sprintf("%12v  %s", time.Duration(l.now()), fmt.Sprintf(format, args...))
	l.trace = append(l.trace, line)
	if l.wire != nil {
		l.wire(line)
	}
}

// Note adds a line to the trace that is printed when the test fails.
func (l *LAN) Note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tracef(format, args...)
}

// Trace returns what was done to the LAN so far, a line for each fault and for each
// call of [LAN.Note], with the time since the beginning.
func (l *LAN) Trace() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.trace)
}

// delivered takes note of a packet that has arrived, for Fingerprint. It is called
// with mu held.
func (l *LAN) delivered(to *Host, kind string, src, dst netip.AddrPort, size int) {
	const prime = 1099511628211
	mix := func(v uint64) { l.sum = (l.sum ^ v) * prime }
	mix(uint64(l.ticked))
	mix(uint64(to.number))
	for _, a := range [...]netip.AddrPort{src, dst} {
		b := a.Addr().As16()
		for _, c := range b {
			mix(uint64(c))
		}
		mix(uint64(a.Port()))
	}
	mix(uint64(size))
	if l.wire != nil {
		l.wire(fmt.Sprintf("%12v    %v %s %v > %v %d", time.Duration(l.ticked), to, kind, src, dst, size))
	}
}

// Fingerprint sums up all packets that have arrived so far, with their times,
// addresses and sizes. Two runs with the same fingerprint went the same way.
func (l *LAN) Fingerprint() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sum
}
