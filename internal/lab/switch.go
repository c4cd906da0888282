//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
)

// Switch is an Ethernet switch: a bridge that floods multicast, as one without
// IGMP snooping does. As an [Option] of a host, it is one that the host is
// plugged into.
type Switch struct {
	// Name is what the switch was called.
	Name string

	// Subnet is the IPv4 subnet of the hosts on it: 10.n.0.0/16, where n
	// counts the switches of the lab from 1.
	Subnet netip.Prefix

	lab    *Lab
	bridge string // the bridge's name on the floor
	ends   string // what the names of its ports begin with

	mu       sync.Mutex // guards captures
	captures []*Capture
}

// Switch adds a switch.
func (l *Lab) Switch(name string) *Switch {
	l.t.Helper()
	l.mu.Lock()
	n := len(l.switches) + 1
	s := &Switch{
		Name:   name,
		Subnet: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n), 0, 0}), 16),
		lab:    l,
		bridge: fmt.Sprintf("br%d", n),
		ends:   fmt.Sprintf("s%dp", n),
	}
	l.switches = append(l.switches, s)
	l.mu.Unlock()
	l.must(l.ip(l.floor, nil, fmt.Sprintf("link add name %s up type bridge mcast_snooping 0", s.bridge)))
	return s
}

// Ports returns the ports that are plugged into s.
func (s *Switch) Ports() []*Port {
	var ports []*Port
	for _, h := range s.lab.Hosts() {
		ports = append(ports, slices.DeleteFunc(h.Ports(), func(p *Port) bool { return p.Switch != s })...)
	}
	return ports
}

func (s *Switch) apply(o *options) { o.switches = append(o.switches, s) }

func (s *Switch) close() {
	s.mu.Lock()
	captures := s.captures
	s.mu.Unlock()
	for _, c := range captures {
		c.Stop()
	}
}
