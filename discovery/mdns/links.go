package mdns

import (
	"cmp"
	"net"
	"net/netip"
	"slices"

	"example.com/tcpnet/discovery"
)

// place returns where a node is announced: on which interfaces with which
// addresses, the most promising first and without zones (RFC 6762, 14). A node
// that listens on all addresses has those of the interface, on each. Otherwise it
// uses only the interfaces that have one of its own, so that a node on loopback
// sends nothing that leaves the machine.
func place(self discovery.Self, ifs []Interface) (addrs map[int][]netip.Addr, links []link) {
	addrs = map[int][]netip.Addr{}
	for _, i := range ifs {
		if !usable(i.Interface) || self.Interfaces != nil && !self.Interfaces(i.Interface) {
			continue
		}
		ls := i.links()
		if len(ls) == 0 {
			continue
		}
		as := placeOn(self.Addrs, i)
		if len(as) == 0 {
			continue
		}
		addrs[i.Index] = as
		// Loopback goes first: it is the best way to those on this machine.
		if i.Flags&net.FlagLoopback != 0 {
			links = append(ls, links...)
		} else {
			links = append(links, ls...)
		}
	}
	return addrs, links
}

func placeOn(listen []netip.Addr, i Interface) []netip.Addr {
	var as []netip.Addr
	add := func(a netip.Addr) {
		if a = a.WithZone(""); !slices.Contains(as, a) {
			as = append(as, a)
		}
	}
	for _, p := range i.Prefixes {
		a := p.Addr().Unmap()
		if len(listen) == 0 || slices.ContainsFunc(listen, func(l netip.Addr) bool { return covers(l.Unmap(), a, i) }) {
			add(a)
		}
	}
	if i.Flags&net.FlagLoopback != 0 {
		// All of 127.0.0.0/8 is there without being listed.
		for _, l := range listen {
			if l = l.Unmap(); l.Is4() && l.IsLoopback() {
				add(l)
			}
		}
	}
	slices.SortStableFunc(as, func(a, b netip.Addr) int { return cmp.Compare(rank(a), rank(b)) })
	return as[:min(len(as), maxAddrs)]
}

// covers reports whether who listens on l is reached at a, an address of i.
func covers(l, a netip.Addr, i Interface) bool {
	if l.IsUnspecified() {
		return l.Is6() || a.Is4()
	}
	return l.WithZone("") == a && (l.Zone() == "" || l.Zone() == i.Name)
}

// rank orders addresses, from 0 to ranks-1: IPv4, what works on any link, others.
func rank(a netip.Addr) int {
	switch {
	case a.Is4():
		return 0
	case a.IsLinkLocalUnicast():
		return 1
	default:
		return 2
	}
}

const ranks = 3

// candidateAddrs returns the addresses of an instance that were heard of by
// interfaces that use allows, no more than maxAddrs and the most promising first:
// loopback, where packets came from, the others. Which they are does not depend on
// the order in which they came.
func candidateAddrs(in *instance, use func(index int) bool) []netip.AddrPort {
	type ranked struct {
		addr netip.Addr
		rank int
	}
	rs := make([]ranked, 0, len(in.addrs))
	for _, a := range in.addrs {
		if !use(a.index) {
			continue
		}
		r := ranked{a.addr, rank(a.addr)}
		switch {
		case a.addr.IsLoopback():
		case a.source:
			r.rank += ranks
		default:
			r.rank += 2 * ranks
		}
		if n := slices.IndexFunc(rs, func(o ranked) bool { return o.addr == r.addr }); n >= 0 {
			rs[n].rank = min(rs[n].rank, r.rank)
			continue
		}
		rs = append(rs, r)
	}
	slices.SortFunc(rs, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), a.addr.Compare(b.addr))
	})
	out := make([]netip.AddrPort, min(len(rs), maxAddrs))
	for i, r := range rs[:len(out)] {
		out[i] = netip.AddrPortFrom(r.addr, in.port)
	}
	return out
}
