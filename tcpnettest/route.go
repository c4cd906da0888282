package tcpnettest

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"syscall"
)

// loopDelay is what a packet takes from a host to itself.
const loopDelay = 10_000 // ns

// owner returns the interface that has an address, if it is up. It is called with
// lan.mu held.
func (h *Host) owner(a netip.Addr) *port {
	a = a.WithZone("")
	if a.IsLoopback() {
		return h.ports[0]
	}
	for _, p := range h.ports {
		if p.ifi.Flags&net.FlagUp != 0 && p.has(a) {
			return p
		}
	}
	return nil
}

// has reports whether an address is that of the interface.
func (p *port) has(a netip.Addr) bool {
	return slices.ContainsFunc(p.prefixes, func(q netip.Prefix) bool { return q.Addr() == a })
}

// route returns the interface by which a host sends to an address, and the address
// that it sends from: nil and no error for itself. It is called with lan.mu held.
func (h *Host) route(dst netip.Addr) (via *port, src netip.Addr, err error) {
	if !h.alive() {
		return nil, src, syscall.ENETDOWN
	}
	if h.owner(dst) != nil {
		return nil, dst.WithZone(""), nil
	}
	best := -1
	for _, p := range h.ports[1:] {
		if p.ifi.Flags&net.FlagUp == 0 || dst.Zone() != "" && dst.Zone() != p.ifi.Name {
			continue
		}
		for _, q := range p.prefixes {
			if q.Contains(dst.WithZone("")) && q.Bits() > best {
				best, via, src = q.Bits(), p, q.Addr()
			}
		}
	}
	if via == nil {
		return nil, src, syscall.ENETUNREACH
	}
	return via, src, nil
}

// at returns who has an address on the switch. It is called with lan.mu held.
func (s *Switch) at(a netip.Addr) *port {
	for _, p := range s.ports {
		if p.host.alive() && p.works() && p.has(a) {
			return p
		}
	}
	return nil
}

// A parcel is a packet on its way.
type parcel struct {
	size int
	dial bool // it is to begin a TCP connection
	flow uint64
	seq  uint64
	rnd  func() *rand.Rand
	to   netip.Addr // without zone
	last *int64     // when the last packet of the flow arrives; may be nil
}

// turn returns when a packet arrives that would arrive at a time, but not before
// those that were sent before it.
func (k parcel) turn(at int64) int64 {
	if k.last != nil {
		at = max(at, *k.last+1)
		*k.last = at
	}
	return at
}

// carry takes a packet from a host to wherever its address is, by an interface, or
// to the host itself if that is nil. arrive is called with the interface where it
// comes in, refused (which may be nil) if a firewall refuses it, and nowhere (which
// may be nil) if nobody has the address. It is called with lan.mu held.
func (l *LAN) carry(h *Host, via *port, k parcel, arrive func(in *port), refused, nowhere func()) {
	if via == nil {
		l.schedule(&event{at: k.turn(l.now() + loopDelay + unevenness(loopDelay, k.rnd())), flow: k.flow, seq: k.seq, do: func() {
			if p := h.owner(k.to); p != nil && h.alive() {
				arrive(p)
			}
		}})
		return
	}
	if !via.works() {
		return
	}
	begin := max(l.now(), via.free)
	dst := via.sw.at(k.to)
	if dst == nil {
		if nowhere != nil {
			l.schedule(&event{at: begin, flow: k.flow, seq: k.seq, do: nowhere})
		}
		return
	}
	l.pass(begin, via, dst, k, func() bool { return via.sw.at(k.to) == dst }, arrive, refused)
}

// pass takes a packet over a switch. It is called with lan.mu held.
func (l *LAN) pass(begin int64, from, to *port, k parcel, there func() bool, arrive func(in *port), refused func()) {
	c := l.conditionsOf(from.sw, from.host, to.host)
	if c.Bandwidth > 0 {
		begin += int64(k.size+40) * 1e9 / int64(c.Bandwidth)
		from.free = max(from.free, begin)
	}
	delay, lost := c.fate(k.rnd)
	if lost || l.policy(from.host, to.host) == Drop {
		return
	}
	at := begin + delay
	if c.Jitter == 0 {
		at = k.turn(at)
	}
	l.schedule(&event{at: at, flow: k.flow, seq: k.seq, do: func() {
		// It is lost as well if the way was cut while it was on it.
		if !there() {
			return
		}
		switch p := l.policy(from.host, to.host); {
		case p == Drop, p == DropDials && k.dial:
		case p == RefuseDials && k.dial:
			if refused != nil {
				refused()
			}
		default:
			arrive(to)
		}
	}})
}
