package netwatch

import (
	"net"
	"net/netip"
)

// portableSnapshot looks at the network through package net. It takes a system
// call and more per interface, and does not know which addresses are tentative.
func portableSnapshot() (State, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	s := make(State, 0, len(interfaces))
	for _, i := range interfaces {
		// An interface that is gone by now has no addresses: that is no error.
		addrs, _ := i.Addrs()
		prefixes := make([]netip.Prefix, 0, len(addrs))
		for _, a := range addrs {
			if p, ok := prefixOf(a); ok {
				prefixes = append(prefixes, p)
			}
		}
		s = append(s, Interface{Interface: i, Prefixes: prefixes})
	}
	return s.normalize(), nil
}

func prefixOf(a net.Addr) (netip.Prefix, bool) {
	n, ok := a.(*net.IPNet)
	if !ok {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(n.IP)
	addr = addr.Unmap()
	ones, size := n.Mask.Size()
	if !ok || size == 0 {
		return netip.Prefix{}, false
	}
	if addr.Is4() && size == 128 {
		ones -= 96
	}
	p := netip.PrefixFrom(addr, ones)
	return p, p.IsValid()
}
