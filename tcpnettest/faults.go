package tcpnettest

import (
	"fmt"
	"slices"
)

// Policy says what becomes of packets from one host to another.
type Policy uint8

const (
	Pass        Policy = iota // they arrive
	Drop                      // they vanish
	DropDials                 // new TCP connections vanish, the others live: a firewall
	RefuseDials               // new TCP connections are refused
)

var policyText = [...]string{"pass", "drop", "drop dials", "refuse dials"}

func (p Policy) String() string {
	if int(p) < len(policyText) {
		return policyText[p]
	}
	return fmt.Sprintf("policy %d", uint8(p))
}

// check panics if there is no such policy.
func (p Policy) check() {
	if int(p) >= len(policyText) {
		panic(fmt.Sprintf("tcpnettest: there is no %v", p))
	}
}

// Set says what becomes of packets that go from one host to the other, and nothing
// of those that come back.
func (l *LAN) Set(from, to *Host, p Policy) {
	p.check()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tracef("%v -> %v: %v", from, to, p)
	l.setLocked(from, to, p)
}

func (l *LAN) setLocked(from, to *Host, p Policy) {
	if from == to {
		return
	}
	if p == Pass {
		delete(l.policies, pair{from, to})
	} else {
		l.policies[pair{from, to}] = p
	}
}

// Cut lets nothing through between two hosts, in either direction. They do not
// notice it otherwise: cables and interfaces seem to be in order.
func (l *LAN) Cut(a, b *Host) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tracef("cut %v - %v", a, b)
	l.setLocked(a, b, Drop)
	l.setLocked(b, a, Drop)
}

// Partition cuts hosts on different sides off from one another. Hosts on no side
// reach all.
func (l *LAN) Partition(sides ...[]*Host) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, side := range sides {
		for _, h := range side {
			if slices.ContainsFunc(sides[:i], func(other []*Host) bool { return slices.Contains(other, h) }) {
				panic(fmt.Sprintf("tcpnettest: host %v is on two sides of a partition", h))
			}
		}
	}
	l.tracef("partition %v", sides)
	for i, side := range sides {
		for j, other := range sides {
			if i == j {
				continue
			}
			for _, a := range side {
				for _, b := range other {
					l.setLocked(a, b, Drop)
				}
			}
		}
	}
}

// Heal lets all packets pass again: it undoes what [LAN.Set], [LAN.Cut],
// [LAN.Partition] and [Host.Firewall] have done.
func (l *LAN) Heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tracef("heal")
	clear(l.policies)
	for _, h := range l.hosts {
		h.firewall = Pass
	}
}

// Firewall says what becomes of packets that come to h from other hosts. The
// strictest of this and [LAN.Set] counts: Drop, DropDials, RefuseDials, Pass.
func (h *Host) Firewall(p Policy) {
	p.check()
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	h.lan.tracef("%v: firewall: %v", h, p)
	h.firewall = p
}

// policy returns what becomes of packets. It is called with mu held.
func (l *LAN) policy(from, to *Host) Policy {
	p, q := l.policies[pair{from, to}], to.firewall
	if p == Pass || q != Pass && q < p {
		return q
	}
	return p
}
