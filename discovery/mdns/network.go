package mdns

import (
	"net"
	"net/netip"
)

// Interface is a network interface with the addresses it has.
type Interface struct {
	net.Interface

	// Prefixes are the interface's addresses, each with the length of the
	// subnet it is in. They carry no zone.
	Prefixes []netip.Prefix
}

// Network is the machine as the engine sees it: its interfaces and its UDP
// sockets. [Options.Network] replaces the real one, so that a simulated network
// can run the real engine. An implementation is comparable (a pointer is):
// nodes that use equal Networks share one engine. If it has a method Float64,
// the engine's delays are drawn from that.
type Network interface {
	// Interfaces returns the interfaces as they are now, up or not. The
	// result is not modified afterwards by either side.
	Interfaces() ([]Interface, error)

	// Watch calls changed after every change of what Interfaces returns,
	// and with resumed set when the machine has been asleep. It may be
	// called from any goroutine and does not block. It is not called once
	// cancel has returned.
	Watch(changed func(ifs []Interface, resumed bool)) (cancel func())

	// Open opens a UDP port on all addresses of both families, as far as
	// the machine has them: port 5353, shared with others, or 0 for one of
	// the system's choice. receive is called for each datagram, from
	// goroutines that end before the transport's Close returns; it does not
	// block and may keep the packet.
	Open(port uint16, receive func(Packet)) (Transport, error)
}

// Transport sends and receives datagrams through one port.
type Transport interface {
	// Join tells which interfaces are to be used from now on, and no others.
	// A transport on port 5353 receives what is sent to the mDNS groups on
	// them. A failure on one of them does not keep it from the others.
	Join(ifs []Interface) error

	// Send sends b through an interface. A multicast address reaches
	// whoever has joined on that interface, on this machine too.
	Send(b []byte, via Interface, to netip.AddrPort) error

	// Close closes the port and waits until receive is no longer called.
	Close() error
}

// Packet is a datagram received by a [Transport].
type Packet struct {
	Data      []byte         // valid until receive returns
	Src       netip.AddrPort // with a zone if it is a link-local IPv6 address
	Index     int            // the interface it came in by
	Multicast bool           // sent to a group, not to this machine alone
}

// Port is the UDP port of mDNS (RFC 6762, 3).
const Port = 5353

// The groups of mDNS (RFC 6762, 3).
var (
	group4 = netip.AddrPortFrom(netip.AddrFrom4([4]byte{224, 0, 0, 251}), Port)
	group6 = netip.AddrPortFrom(netip.MustParseAddr("ff02::fb"), Port)
)

// A link is one way to reach neighbours: an interface and an address family.
type link struct {
	index int
	v6    bool
}

func (l link) group() netip.AddrPort {
	if l.v6 {
		return group6
	}
	return group4
}

// usable reports whether mDNS can be spoken on an interface. Running is not
// asked for: it comes late or never on some. Loopback counts even where it lacks
// the multicast flag, as it does on Linux.
func usable(i net.Interface) bool {
	const need = net.FlagUp
	if i.Flags&need != need || i.Flags&net.FlagPointToPoint != 0 {
		return false
	}
	return i.Flags&(net.FlagMulticast|net.FlagLoopback) != 0
}

// links returns the links that an interface offers: those of the families it
// has addresses of. Loopback has only IPv4: Linux cannot send to an IPv6 group
// on it and elsewhere it is unreliable; IPv6 addresses are announced over IPv4.
func (i Interface) links() []link {
	var has4, has6 bool
	for _, p := range i.Prefixes {
		if p.Addr().Is4() {
			has4 = true
		} else {
			has6 = true
		}
	}
	ls := make([]link, 0, 2)
	if has4 {
		ls = append(ls, link{i.Index, false})
	}
	if has6 && i.Flags&net.FlagLoopback == 0 {
		ls = append(ls, link{i.Index, true})
	}
	return ls
}

// A netmap answers questions about the interfaces of one moment.
type netmap struct {
	byIndex map[int]*Interface
	owner   map[netip.Addr]*Interface // by address, without zone
}

func newNetmap(ifs []Interface) *netmap {
	m := &netmap{byIndex: make(map[int]*Interface, len(ifs)), owner: map[netip.Addr]*Interface{}}
	for n := range ifs {
		i := &ifs[n]
		m.byIndex[i.Index] = i
		for _, p := range i.Prefixes {
			m.owner[p.Addr()] = i
		}
	}
	return m
}

func (m *netmap) loopback(index int) bool {
	i := m.byIndex[index]
	return i != nil && i.Flags&net.FlagLoopback != 0
}

// onLink returns the address to use for a neighbour that was heard of through
// an interface, with the zone if it needs one, and false if the address cannot
// be that of a neighbour there (RFC 6762, 11). Anybody on the link can name any
// address, so that without this one packet would turn all nodes against a third
// party.
func (m *netmap) onLink(a netip.Addr, index int) (netip.Addr, bool) {
	a = a.Unmap().WithZone("")
	i := m.byIndex[index]
	if i == nil || !a.IsValid() || a.IsUnspecified() || a.IsMulticast() {
		return a, false
	}
	own := m.owner[a]
	if i.Flags&net.FlagLoopback != 0 {
		// What one process of a machine sends to another arrives by
		// loopback whatever addresses they use.
		switch {
		case a.IsLoopback():
			return a, true
		case own == nil:
			return a, false
		}
		i = own
	}
	if a.IsLoopback() {
		return a, false
	}
	if a.Is6() && a.IsLinkLocalUnicast() {
		return a.WithZone(i.Name), true
	}
	if own != nil {
		return a, true
	}
	for _, p := range i.Prefixes {
		if p.Contains(a) && !broadcast(p, a) {
			return a, true
		}
	}
	return a, false
}

// broadcast reports whether a, in p, is one of the two IPv4 addresses that are
// no host's: the subnet's own and the one of all its hosts.
func broadcast(p netip.Prefix, a netip.Addr) bool {
	if !a.Is4() || p.Bits() >= 31 {
		return false
	}
	b := a.As4()
	v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	host := uint32(1)<<(32-p.Bits()) - 1
	return v&host == 0 || v&host == host
}
