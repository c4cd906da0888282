package tcpnettest

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/internal/netstack"
	"example.com/tcpnet/internal/netwatch"
)

// Host is a machine on a LAN. Programs run on it as one process at a time; a crash
// ends that, and what runs after it is the next.
type Host struct {
	lan    *LAN
	number int
	name   string
	rnd    *rand.Rand

	// What follows is guarded by lan.mu.
	ports     []*port // its interfaces; the first is lo
	process   *process
	sockets   map[tuple]*socket
	listeners []*listener
	ephemeral uint16
	firewall  Policy
	off       bool // it has no power
	asleep    bool
	stats     Stats
}

// port is an interface of a host.
type port struct {
	host     *Host
	sw       *Switch // nil: loopback
	ifi      net.Interface
	prefixes []netip.Prefix
	unplug   bool  // the cable is out
	free     int64 // when the last packet has left
}

// Stats counts what a host has sent.
type Stats struct {
	Dials     int // TCP connections it tried to make
	Segments  int // of TCP, repeated ones and acknowledgements as well
	Datagrams int // of mDNS; one for a multicast, however many hear it
	Bytes     int // in segments and datagrams, without headers
}

func newHost(l *LAN, name string) *Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.hosts {
		if h.name == name {
			panic(fmt.Sprintf("tcpnettest: two hosts named %q", name))
		}
	}
	h := &Host{lan: l, number: len(l.hosts) + 1, name: name, sockets: make(map[tuple]*socket), rnd: l.random("host " + name)}
	h.ephemeral = uint16(h.rnd.IntN(20000))
	h.ports = []*port{{
		host:     h,
		ifi:      net.Interface{Index: 1, Name: "lo", MTU: 65536, Flags: net.FlagUp | net.FlagLoopback | net.FlagRunning},
		prefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("::1/128")},
	}}
	l.hosts = append(l.hosts, h)
	h.boot()
	return h
}

// Name returns the host's name.
func (h *Host) Name() string { return h.name }

func (h *Host) String() string { return h.name }

// Addr returns the first address of the host's first interface that has one. It is
// invalid if there is none.
func (h *Host) Addr() netip.Addr {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	for _, p := range h.ports[1:] {
		if len(p.prefixes) > 0 {
			return p.prefixes[0].Addr()
		}
	}
	return netip.Addr{}
}

// Stats returns what the host has sent since the beginning.
func (h *Host) Stats() Stats {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	return h.stats
}

// Attach adds an interface to the host that is attached to a switch, and returns
// its name: eth0 for the first. It has an IPv4 address; see [Host.AddAddr].
func (h *Host) Attach(s *Switch) (name string) {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	index := h.ports[len(h.ports)-1].ifi.Index + 1
	p := &port{host: h, sw: s, prefixes: []netip.Prefix{s.address()}, ifi: net.Interface{
		Index: index, Name: fmt.Sprintf("eth%d", index-2), MTU: 1500,
		Flags:        net.FlagUp | net.FlagBroadcast | net.FlagMulticast | net.FlagRunning,
		HardwareAddr: binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16([]byte{2, 0}, uint16(h.number)), uint16(index)),
	}}
	h.ports = append(h.ports, p)
	s.ports = append(s.ports, p)
	h.lan.tracef("%v: %s attached to switch %d as %v", h, p.ifi.Name, s.number, p.prefixes[0])
	h.changed(false)
	return p.ifi.Name
}

// Detach removes an interface, with its addresses.
func (h *Host) Detach(name string) {
	h.change(name, "removed", func(p *port) {
		h.ports = slices.DeleteFunc(h.ports, func(q *port) bool { return p == q })
		p.sw.ports = slices.DeleteFunc(p.sw.ports, func(q *port) bool { return p == q })
	})
}

// AddAddr gives an interface one more address. An IPv6 address with the prefix
// fe80::/64 is a link-local one.
func (h *Host) AddAddr(name string, a netip.Prefix) {
	h.change(name, fmt.Sprintf("has address %v", a), func(p *port) {
		p.prefixes = append(slices.Clone(p.prefixes), a)
	})
}

// RemoveAddr takes an address from an interface.
func (h *Host) RemoveAddr(name string, a netip.Addr) {
	h.change(name, fmt.Sprintf("loses address %v", a), func(p *port) {
		p.prefixes = slices.DeleteFunc(slices.Clone(p.prefixes), func(q netip.Prefix) bool { return q.Addr() == a })
	})
}

// Renumber gives an interface another IPv4 address in place of those it has, as a
// DHCP server may.
func (h *Host) Renumber(name string) (a netip.Addr) {
	h.change(name, "is renumbered", func(p *port) {
		next := p.sw.address() // not one that it has
		p.prefixes = slices.DeleteFunc(slices.Clone(p.prefixes), func(q netip.Prefix) bool { return q.Addr().Is4() })
		p.prefixes = append(p.prefixes, next)
		a = next.Addr()
	})
	return a
}

// SetUp brings an interface up or down.
func (h *Host) SetUp(name string, up bool) {
	h.change(name, fmt.Sprintf("up: %v", up), func(p *port) {
		p.ifi.Flags &^= net.FlagUp | net.FlagRunning
		if up {
			p.ifi.Flags |= net.FlagUp
			p.carrier()
		}
	})
}

// Unplug pulls the cable out of an interface. The host sees it.
func (h *Host) Unplug(name string) {
	h.change(name, "unplugged", func(p *port) { p.unplug = true; p.carrier() })
}

// Plug puts the cable in again.
func (h *Host) Plug(name string) {
	h.change(name, "plugged in", func(p *port) { p.unplug = false; p.carrier() })
}

// carrier sets the flag that tells of the cable.
func (p *port) carrier() {
	p.ifi.Flags &^= net.FlagRunning
	if p.ifi.Flags&net.FlagUp != 0 && !p.unplug {
		p.ifi.Flags |= net.FlagRunning
	}
}

// works reports whether packets can go through the interface.
func (p *port) works() bool { return p.ifi.Flags&net.FlagRunning != 0 }

func (h *Host) change(name, what string, f func(p *port)) {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	for _, p := range h.ports[1:] {
		if p.ifi.Name == name {
			f(p)
			h.lan.tracef("%v: %s %s", h, name, what)
			h.changed(false)
			return
		}
	}
	panic(fmt.Sprintf("tcpnettest: host %v has no interface %q", h, name))
}

// state returns the interfaces. It is called with lan.mu held.
func (h *Host) state() netwatch.State {
	s := make(netwatch.State, 0, len(h.ports))
	for _, p := range h.ports {
		prefixes := slices.Clone(p.prefixes)
		slices.SortFunc(prefixes, netip.Prefix.Compare)
		s = append(s, netwatch.Interface{Interface: p.ifi, Prefixes: prefixes})
	}
	return s
}

// settle is how long after a change of its interfaces a process is told.
const settle = 50 * time.Millisecond

// changed has the process told of a change. It is called with lan.mu held.
func (h *Host) changed(resumed bool) {
	p := h.process
	p.resumed = p.resumed || resumed
	h.lan.reschedule(&p.notice, h.lan.now()+int64(settle))
}

// alive reports whether the host's system works. It is called with lan.mu held.
func (h *Host) alive() bool { return !h.off && !h.asleep }

// Freeze stops the process, as the signal SIGSTOP does: its sockets are kept by the
// system, which takes what arrives and acknowledges it, but the process neither
// reads nor writes, dials nor accepts, and what it closes meanwhile is closed when
// it goes on. Only its timers cannot be stopped here: the nodes on it will
// find that they hear of nobody, as if it were the network that was cut.
func (h *Host) Freeze() {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	h.lan.tracef("%v: freeze", h)
	h.process.frozen = true
}

// Thaw lets the process go on.
func (h *Host) Thaw() {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	h.lan.tracef("%v: thaw", h)
	h.process.thaw()
}

// Sleep suspends the machine: nothing that is sent to it arrives, and its process is
// stopped as by [Host.Freeze].
func (h *Host) Sleep() {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	h.lan.tracef("%v: sleep", h)
	h.asleep, h.process.frozen = true, true
}

// Wake ends Sleep. The nodes on the host are told that it has slept, as they are
// where the clock of the machine has jumped.
func (h *Host) Wake() {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	h.lan.tracef("%v: wake", h)
	h.asleep = false
	h.process.thaw()
	h.changed(true)
}

// Crash kills the process, as the signal SIGKILL does: its nodes end without a word,
// and the system closes its sockets. Contexts of [Host.Context] end. What joins
// from the host after that is a new process.
func (h *Host) Crash() {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	h.lan.tracef("%v: crash", h)
	h.process.kill(func(s *socket) { s.close() })
	h.boot()
}

// PowerOff ends process and system without a word: nothing is closed, and nothing
// answers.
func (h *Host) PowerOff() {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	h.lan.tracef("%v: power off", h)
	h.off, h.asleep = true, false
	h.process.kill(nil)
	for _, s := range h.socketsInOrder() {
		s.vanish()
	}
	h.boot()
}

// PowerOn starts the machine again. It knows of none of its old connections, and
// says so to whoever still has one.
func (h *Host) PowerOn() {
	h.lan.mu.Lock()
	defer h.lan.mu.Unlock()
	h.lan.tracef("%v: power on", h)
	h.off = false
}

// boot makes room for a new process. It is called with lan.mu held.
func (h *Host) boot() { h.process = newProcess(h) }

// Context returns a context in which [tcpnet.Join] makes a node on the host, in the
// process that runs there now. It ends with ctx, and when that process is killed.
func (h *Host) Context(ctx context.Context) context.Context {
	h.lan.mu.Lock()
	p := h.process
	h.lan.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	context.AfterFunc(p.ctx, cancel)
	return netstack.With(ctx, p)
}

// Join makes a node on the host, and fails the test if that is not possible. A
// Config without a name gets the name "tcpnettest". Nodes are closed at the end of
// the test.
func (h *Host) Join(cfg tcpnet.Config) *tcpnet.Node {
	h.lan.t.Helper()
	if cfg.Name == "" {
		cfg.Name = "tcpnettest"
	}
	n, err := tcpnet.Join(h.Context(context.Background()), cfg)
	if err != nil {
		h.lan.t.Fatalf("host %v: %v", h, err)
	}
	return n
}

// Listen listens on a TCP address of the host, such as ":80", in its process.
func (h *Host) Listen(address string) (net.Listener, error) {
	h.lan.mu.Lock()
	p := h.process
	h.lan.mu.Unlock()
	ls, err := p.listenAll(address)
	if err != nil {
		return nil, err
	}
	for _, l := range ls[1:] {
		l.Close()
	}
	return ls[0], nil
}

// Dial opens a TCP connection from the host's process to an address, such as
// "h2:80". The addresses of a host that has several are tried in turn.
func (h *Host) Dial(ctx context.Context, address string) (net.Conn, error) {
	h.lan.mu.Lock()
	p := h.process
	h.lan.mu.Unlock()
	addrs, err := p.Resolve(ctx, address)
	if err != nil {
		return nil, err
	}
	s, err := p.dialAny(ctx, addrs)
	if err != nil {
		return nil, err
	}
	return &Conn{s}, nil
}
