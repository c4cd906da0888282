package tcpnettest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"

	"example.com/tcpnet/discovery/mdns"
	"example.com/tcpnet/internal/netwatch"
)

// maxHeld is how many datagrams wait for a process that is frozen.
const maxHeld = 256

// multicast is a process as its mDNS engine sees it.
type multicast struct{ process *process }

var _ mdns.Network = (*multicast)(nil)

// Float64 is where the engine's delays come from.
func (m *multicast) Float64() float64 {
	m.process.rnd.Lock()
	defer m.process.rnd.Unlock()
	return float64(m.process.src.Uint64()<<11>>11) / (1 << 53)
}

// Interfaces implements mdns.Network.
func (m *multicast) Interfaces() ([]mdns.Interface, error) {
	s, err := m.process.Interfaces()
	return interfaces(s), err
}

// Watch implements mdns.Network.
func (m *multicast) Watch(changed func([]mdns.Interface, bool)) (cancel func()) {
	return m.process.Watch(func(e netwatch.Event) { changed(interfaces(e.State), e.Resumed) })
}

func interfaces(s netwatch.State) []mdns.Interface {
	ifs := make([]mdns.Interface, len(s))
	for n, i := range s {
		ifs[n] = mdns.Interface(i)
	}
	return ifs
}

// transport is a UDP port of a process. What it has is guarded by lan.mu.
type transport struct {
	process *process
	port    uint16
	receive func(mdns.Packet)
	joined  map[int]bool
	held    []func() // arrivals, while the process is frozen
	flow    uint64
	seq     uint64
	rnd     *rand.Rand
}

// Open implements mdns.Network.
func (m *multicast) Open(port uint16, receive func(mdns.Packet)) (mdns.Transport, error) {
	p, l := m.process, m.process.host.lan
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.dead || !p.host.alive() {
		return nil, fmt.Errorf("port %d: the network is down", port)
	}
	if port == 0 {
		port = p.host.freePort()
	}
	t := &transport{process: p, port: port, receive: receive, flow: hash(fmt.Sprintf("%s udp %d", p.host.name, port))}
	p.transports = append(p.transports, t)
	return t, nil
}

// Join implements mdns.Transport.
func (t *transport) Join(ifs []mdns.Interface) error {
	l := t.process.host.lan
	l.mu.Lock()
	defer l.mu.Unlock()
	t.joined = make(map[int]bool, len(ifs))
	for _, i := range ifs {
		t.joined[i.Index] = true
	}
	return nil
}

// Send implements mdns.Transport.
func (t *transport) Send(b []byte, via mdns.Interface, to netip.AddrPort) error {
	l := t.process.host.lan
	l.mu.Lock()
	defer l.mu.Unlock()
	b = slices.Clone(b)
	t.process.perform(func() { t.send(b, via.Index, to) })
	return nil
}

func (t *transport) send(b []byte, index int, to netip.AddrPort) {
	h := t.process.host
	l := h.lan
	i := slices.IndexFunc(h.ports, func(p *port) bool { return p.ifi.Index == index })
	if i < 0 || !h.ports[i].works() || !h.alive() {
		return
	}
	via := h.ports[i]
	var src netip.AddrPort
	for _, p := range via.prefixes {
		if p.Addr().Is4() == to.Addr().Is4() && (p.Addr().Is4() || p.Addr().IsLinkLocalUnicast() || !src.IsValid()) {
			src = netip.AddrPortFrom(p.Addr(), t.port)
			break
		}
	}
	if !src.IsValid() {
		return
	}
	h.stats.Datagrams++
	h.stats.Bytes += len(b)
	dst := netip.AddrPortFrom(to.Addr().WithZone(""), to.Port())
	parcel := func() parcel {
		t.seq++
		return parcel{size: len(b), flow: t.flow, seq: t.seq, rnd: t.random, to: dst.Addr()}
	}
	arrive := func(in *port) { in.host.datagram(in, src, dst, b) }
	if !to.Addr().IsMulticast() {
		if via.sw == nil || h.owner(dst.Addr()) != nil {
			via = nil
		}
		l.carry(h, via, parcel(), arrive, nil, nil)
		return
	}
	// To itself as well, as sockets do.
	l.schedule(&event{at: l.now() + loopDelay + unevenness(loopDelay, t.random()), flow: t.flow, seq: parcel().seq, do: func() {
		if h.alive() {
			arrive(via)
		}
	}})
	if via.sw == nil {
		return
	}
	begin := max(l.now(), via.free) // it leaves once, for all
	for _, p := range via.sw.ports {
		if p == via {
			continue
		}
		there := func() bool { return p.works() && p.host.alive() && slices.Contains(p.sw.ports, p) }
		l.pass(begin, via, p, parcel(), there, arrive, nil)
		if c := l.conditionsOf(via.sw, h, p.host); c.Duplicate > 0 && t.random().Float64() < c.Duplicate {
			l.pass(begin, via, p, parcel(), there, arrive, nil)
		}
	}
}

func (t *transport) random() *rand.Rand {
	if t.rnd == nil {
		t.rnd = rand.New(rand.NewPCG(t.process.host.lan.seed, t.flow))
	}
	return t.rnd
}

// datagram takes one that has come in by an interface. It is called with lan.mu
// held.
func (h *Host) datagram(in *port, src, dst netip.AddrPort, b []byte) {
	h.lan.delivered(h, "udp", src, dst, len(b))
	if src.Addr().IsLinkLocalUnicast() && src.Addr().Is6() {
		src = netip.AddrPortFrom(src.Addr().WithZone(in.ifi.Name), src.Port())
	}
	multicast := dst.Addr().IsMulticast()
	for _, t := range h.process.transports {
		if t.port != dst.Port() || multicast && !t.joined[in.ifi.Index] {
			continue
		}
		k := mdns.Packet{Data: b, Src: src, Index: in.ifi.Index, Multicast: multicast}
		switch {
		case !h.process.frozen:
			t.receive(k)
		case len(t.held) < maxHeld:
			t.held = append(t.held, func() { t.receive(k) })
		}
	}
}

// thaw hands over what has come in. It is called with lan.mu held.
func (t *transport) thaw() {
	for _, f := range t.held {
		f()
	}
	t.held = nil
}

// Close implements mdns.Transport.
func (t *transport) Close() error {
	l := t.process.host.lan
	l.mu.Lock()
	defer l.mu.Unlock()
	t.process.transports = slices.DeleteFunc(t.process.transports, func(o *transport) bool { return o == t })
	t.held = nil
	return nil
}
