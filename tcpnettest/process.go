package tcpnettest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"example.com/tcpnet/discovery/mdns"
	"example.com/tcpnet/internal/netstack"
	"example.com/tcpnet/internal/netwatch"
)

// process is a process on a host: what the nodes in it have of the machine.
type process struct {
	host   *Host
	ctx    context.Context // ends when it is killed
	cancel context.CancelFunc
	mdns   multicast

	rnd sync.Mutex // guards src
	src *rand.ChaCha8

	// What follows is guarded by lan.mu.
	frozen     bool
	dead       bool
	held       []func()    // what it did while it was frozen, for the system to do
	nodes      []io.Closer // that run in it
	transports []*transport
	watchers   []*watcher
	notice     event // tells the watchers
	resumed    bool  // the notice says so
	missed     bool  // the notice came while it was frozen
}

var _ netstack.Host = (*process)(nil)

func newProcess(h *Host) *process {
	p := &process{host: h}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.mdns.process = p
	p.notice = event{flow: uint64(h.number), index: -1, do: p.notify}
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(h.rnd.Uint32())
	}
	p.src = rand.NewChaCha8(seed)
	return p
}

// kill ends the process; of each of its sockets the system does what end says, if
// anything. It is called with lan.mu held.
func (p *process) kill(end func(*socket)) {
	p.dead, p.frozen, p.held = true, false, nil
	for _, s := range p.host.socketsInOrder() {
		if s.process == p && !s.closed {
			s.closed = true
			if end != nil {
				end(s)
			}
			s.wake()
		}
	}
	for _, l := range slices.Clone(p.host.listeners) {
		l.closeLocked()
	}
	p.transports, p.watchers = nil, nil
	p.host.lan.cancel(&p.notice)
	p.cancel()
	for _, n := range p.nodes {
		p.host.lan.closing.Go(func() { n.Close() })
	}
	p.nodes = nil
}

// thaw lets a process go on that was frozen. It is called with lan.mu held.
func (p *process) thaw() {
	p.frozen = false
	held := p.held
	p.held = nil
	for _, do := range held {
		do()
	}
	for _, s := range p.host.socketsInOrder() {
		s.wake()
	}
	for _, l := range p.host.listeners {
		l.ready.Broadcast()
	}
	for _, t := range p.transports {
		t.thaw()
	}
	if p.missed {
		p.missed = false
		p.host.changed(false)
	}
}

// perform has the system do something for the process, which waits until it is
// running. It is called with lan.mu held.
func (p *process) perform(do func()) {
	switch {
	case p.dead:
	case p.frozen:
		p.held = append(p.held, do)
	default:
		do()
	}
}

// Hostname implements netstack.Host.
func (p *process) Hostname() string { return p.host.name }

// Random implements netstack.Host.
func (p *process) Random() io.Reader { return lockedReader{p} }

// random returns a source for what has only to vary.
func (p *process) random() *rand.Rand {
	p.rnd.Lock()
	defer p.rnd.Unlock()
	return rand.New(rand.NewPCG(p.src.Uint64(), 0))
}

type lockedReader struct{ p *process }

func (r lockedReader) Read(b []byte) (int, error) {
	r.p.rnd.Lock()
	defer r.p.rnd.Unlock()
	return r.p.src.Read(b)
}

// Started implements netstack.Host.
func (p *process) Started(node io.Closer) {
	l := p.host.lan
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.dead {
		l.closing.Go(func() { node.Close() })
		return
	}
	p.nodes = append(p.nodes, node)
}

// Dead implements netstack.Host.
func (p *process) Dead() bool {
	l := p.host.lan
	l.mu.Lock()
	defer l.mu.Unlock()
	return p.dead
}

// MDNS is found by package mdns.
func (p *process) MDNS() mdns.Network { return &p.mdns }

// Interfaces implements netstack.Host.
func (p *process) Interfaces() (netwatch.State, error) {
	p.host.lan.mu.Lock()
	defer p.host.lan.mu.Unlock()
	return p.host.state(), nil
}

// watcher is one call of Watch.
type watcher struct {
	mu sync.Mutex // held while f runs
	f  func(netwatch.Event)
}

func (w *watcher) call(e netwatch.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.f != nil {
		w.f(e)
	}
}

// Watch implements netstack.Host.
func (p *process) Watch(changed func(netwatch.Event)) (cancel func()) {
	w := &watcher{f: changed}
	l := p.host.lan
	l.mu.Lock()
	defer l.mu.Unlock()
	p.watchers = append(p.watchers, w)
	return func() {
		l.mu.Lock()
		p.watchers = slices.DeleteFunc(p.watchers, func(o *watcher) bool { return o == w })
		l.mu.Unlock()
		w.mu.Lock()
		w.f = nil
		w.mu.Unlock()
	}
}

// notify tells the watchers of a change of the interfaces. It is called with lan.mu
// held.
func (p *process) notify() {
	if p.frozen { // told when it goes on
		p.missed = true
		return
	}
	e := netwatch.Event{State: p.host.state(), Resumed: p.resumed}
	p.resumed = false
	watchers := slices.Clone(p.watchers)
	go func() {
		for _, w := range watchers {
			w.call(e)
		}
	}()
}

// sysError wraps an error as package net does.
func sysError(op string, src, dst net.Addr, err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		call := op
		if op == "dial" {
			call = "connect"
		} else if op == "listen" {
			call = "bind"
		}
		err = os.NewSyscallError(call, errno)
	}
	return &net.OpError{Op: op, Net: "tcp", Source: src, Addr: dst, Err: err}
}

// Resolve implements netstack.Host. A name is that of a host of the LAN.
func (p *process) Resolve(_ context.Context, hostport string) ([]netip.AddrPort, error) {
	name, portText, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return nil, fmt.Errorf("address %q: the port has to be a number from 1 to 65535", hostport)
	}
	ips, err := p.lookup(name)
	if err != nil {
		return nil, err
	}
	addrs := make([]netip.AddrPort, len(ips))
	for i, ip := range ips {
		addrs[i] = netip.AddrPortFrom(ip, uint16(port))
	}
	return addrs, nil
}

// leastShare is how much of the time that is left dialAny gives to an address at least.
const leastShare = 2 * time.Second

// dialAny opens a connection to one of some addresses: it tries them in turn, each for
// its share of the time until the context's deadline, as a net.Dialer does. The error is
// that of the first.
func (p *process) dialAny(ctx context.Context, addrs []netip.AddrPort) (*socket, error) {
	var first error
	for i, a := range addrs {
		share, cancel := ctx, context.CancelFunc(func() {})
		if deadline, ok := ctx.Deadline(); ok {
			left := time.Until(deadline)
			share, cancel = context.WithTimeout(ctx, max(left/time.Duration(len(addrs)-i), min(left, leastShare)))
		}
		s, err := p.dial(share, a)
		cancel()
		if err == nil {
			return s, nil
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

// lookup returns the addresses that a name stands for.
func (p *process) lookup(name string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{ip.Unmap()}, nil
	}
	if name == "localhost" {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()}, nil
	}
	l := p.host.lan
	l.mu.Lock()
	defer l.mu.Unlock()
	var ips []netip.Addr
	for _, h := range l.hosts {
		if h.name != name {
			continue
		}
		for _, port := range h.ports[1:] {
			for _, a := range port.prefixes {
				if !a.Addr().IsLinkLocalUnicast() {
					ips = append(ips, a.Addr())
				}
			}
		}
	}
	if len(ips) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return ips, nil
}

// Listen implements netstack.Host.
func (p *process) Listen(_ context.Context, hostport string) ([]net.Listener, error) {
	ls, err := p.listenAll(hostport)
	if err != nil {
		return nil, err
	}
	all := make([]net.Listener, len(ls))
	for i, l := range ls {
		all[i] = nodeListener{l}
	}
	return all, nil
}

// listenAll listens on all addresses that a name stands for.
func (p *process) listenAll(hostport string) ([]*listener, error) {
	name, portText, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, fmt.Errorf("listen address %q: %w (want \"host:port\", such as \":0\")", hostport, err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("listen address %q: the port has to be a number from 0 to 65535", hostport)
	}
	ips := []netip.Addr{{}} // all
	if name != "" {
		if ips, err = p.lookup(name); err != nil {
			return nil, fmt.Errorf("listen address %q: %w", hostport, err)
		}
	}
	// Processes do not begin at the same instant.
	time.Sleep(time.Duration(p.host.number)*time.Microsecond + time.Duration(unevenness(loopDelay, p.random())))
	l := p.host.lan
	l.mu.Lock()
	defer l.mu.Unlock()
	var listeners []*listener
	for _, ip := range ips {
		var ln *listener
		if ln, err = p.listen(ip, uint16(port)); err == nil {
			listeners = append(listeners, ln)
			port = uint64(ln.local.Port())
		}
	}
	if len(listeners) == 0 {
		return nil, sysError("listen", nil, nil, err)
	}
	return listeners, nil
}

// listen listens on one address. It is called with lan.mu held.
func (p *process) listen(ip netip.Addr, port uint16) (*listener, error) {
	h := p.host
	switch {
	case p.dead:
		return nil, syscall.EBADF
	case !h.alive():
		return nil, syscall.ENETDOWN
	case ip.IsValid() && !ip.IsUnspecified() && !ip.IsLoopback() && h.owner(ip) == nil:
		return nil, syscall.EADDRNOTAVAIL
	}
	if ip.IsUnspecified() {
		ip = netip.Addr{}
	}
	if port == 0 {
		port = h.freePort()
	}
	for _, o := range h.listeners {
		if o.local.Port() == port && (o.local.Addr() == ip || !o.local.Addr().IsValid() || !ip.IsValid()) {
			return nil, syscall.EADDRINUSE
		}
	}
	ln := &listener{process: p, local: netip.AddrPortFrom(ip, port)}
	ln.ready = sync.NewCond(&h.lan.mu)
	h.listeners = append(h.listeners, ln)
	return ln, nil
}

// freePort returns the next port of the system's choice. It is called with lan.mu
// held.
func (h *Host) freePort() uint16 {
	for {
		h.ephemeral = (h.ephemeral + 1) % 28000
		port := 32768 + h.ephemeral
		if !slices.ContainsFunc(h.listeners, func(l *listener) bool { return l.local.Port() == port }) {
			return port
		}
	}
}

// Dial implements netstack.Host.
func (p *process) Dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	s, err := p.dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	return nodeConn{&Conn{s}}, nil
}

// dial opens a connection to an address.
func (p *process) dial(ctx context.Context, addr netip.AddrPort) (*socket, error) {
	l := p.host.lan
	l.mu.Lock()
	defer l.mu.Unlock()
	s, err := p.connect(addr)
	if err != nil {
		return nil, sysError("dial", nil, net.TCPAddrFromAddrPort(addr), err)
	}
	defer context.AfterFunc(ctx, func() {
		// Attempts that begin together do not end at the same instant.
		time.Sleep(time.Duration(1 + s.flow%10_000))
		l.mu.Lock()
		defer l.mu.Unlock()
		s.wake()
	})()
	for {
		switch {
		case s.failed != nil:
			err := s.failed
			s.closed = true
			return nil, sysError("dial", nil, net.TCPAddrFromAddrPort(addr), err)
		case s.closed: // the process was killed
			return nil, sysError("dial", nil, net.TCPAddrFromAddrPort(addr), net.ErrClosed)
		case s.state == established && !p.frozen:
			return s, nil
		case ctx.Err() != nil:
			s.closed = true
			s.vanish()
			err := ctx.Err()
			if errors.Is(err, context.DeadlineExceeded) {
				err = os.ErrDeadlineExceeded
			}
			return nil, sysError("dial", nil, net.TCPAddrFromAddrPort(addr), err)
		}
		s.readable.Wait()
	}
}
