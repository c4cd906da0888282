//go:build linux

package lab

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// Port is an interface of a host and the cable from it to a switch.
type Port struct {
	// Host and Switch are what the cable connects.
	Host   *Host
	Switch *Switch

	// Name is the interface's name in the host: eth0, eth1, …
	Name string

	// HardwareAddr is the interface's MAC address.
	HardwareAddr net.HardwareAddr

	// Addr is the IPv4 address that the interface was given: the host's
	// number in the switch's subnet. It is not valid if the host has no IPv4.
	Addr netip.Addr

	// LinkLocal is the interface's IPv6 link-local address, without a zone.
	LinkLocal netip.Addr

	end string // the name of the cable's other end, on the floor

	// Guarded by the lab's mutex.
	cut    Cut
	routes []string // the commands that enter the routes over it
}

// Plug connects the host with a switch, through a new interface.
func (h *Host) Plug(s *Switch) *Port {
	h.lab.t.Helper()
	l := h.lab
	l.mu.Lock()
	l.ports++
	p := &Port{
		Host:         h,
		Switch:       s,
		Name:         fmt.Sprintf("eth%d", h.plugged),
		HardwareAddr: net.HardwareAddr{0x02, 0x1a, 0xb0, byte(h.plugged), byte(h.number >> 8), byte(h.number)},
		end:          fmt.Sprintf("%s%d", s.ends, l.ports),
	}
	h.plugged++
	if !h.noIPv4 {
		a := s.Subnet.Addr().As4()
		a[2], a[3] = byte(h.number>>8), byte(h.number)
		p.Addr = netip.AddrFrom4(a)
	}
	p.LinkLocal = linkLocal(p.HardwareAddr)
	h.ports = append(h.ports, p)
	l.mu.Unlock()

	l.must(l.ip(l.floor, h.ns,
		fmt.Sprintf("link add name %s type veth peer name %s address %s netns %s", p.end, p.Name, p.HardwareAddr, peerNamespace),
		fmt.Sprintf("link set %s up", p.end)))
	commands := []string{fmt.Sprintf("link set %s up", p.Name)}
	if p.Addr.IsValid() {
		commands = append(commands, fmt.Sprintf("address add %s/%d brd + dev %s", p.Addr, s.Subnet.Bits(), p.Name))
	}
	h.IP(commands...)
	// Last, as a bridge forwards at once from a port that is running when it
	// joins, and from another one only when it has got round to it.
	l.must(p.running())
	l.must(l.floor.join(s.bridge, p.end))
	l.must(l.applyFaults())
	return p
}

// Unplug removes the interface with its cable.
func (p *Port) Unplug() {
	h := p.Host
	h.lab.t.Helper()
	h.lab.mu.Lock()
	h.ports = slices.DeleteFunc(h.ports, func(q *Port) bool { return q == p })
	h.lab.mu.Unlock()
	h.IP(fmt.Sprintf("link delete %s", p.Name))
	h.lab.must(h.lab.applyFaults())
}

// linkLocal returns the link-local address that the kernel makes from a MAC
// address (RFC 4291, appendix A).
func linkLocal(mac net.HardwareAddr) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]})
}
