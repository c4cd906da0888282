package tcpnettest

import (
	"net"
	"net/netip"
	"slices"
	"sync"
)

// listener is a listening socket. It is guarded by lan.mu.
type listener struct {
	process *process
	local   netip.AddrPort // without an address: all
	ready   *sync.Cond
	queue   []*socket // that nobody has accepted
	closed  bool
}

// listening returns who listens at an address.
func (h *Host) listening(a netip.AddrPort) *listener {
	var found *listener
	for _, l := range h.listeners {
		if l.local == a || !l.local.Addr().IsValid() && l.local.Port() == a.Port() && found == nil {
			found = l
		}
	}
	return found
}

// syn begins a connection from the other side.
func (l *listener) syn(g segment, zone string) {
	if len(l.queue) >= maxBacklog {
		return
	}
	h := l.process.host
	s := h.newSocket(l.process, tuple{g.dst, g.src})
	s.zone, s.listener, s.state = zone, l, synReceived
	s.since = h.lan.now()
	s.heard = s.since
	s.send(segment{syn: true})
	s.armTimer()
}

// accepted is called for the first segment after the SYN of a connection from the
// other side, and reports whether there is one now.
func (s *socket) accepted(g segment) bool {
	l := s.listener
	if !g.hasAck {
		return false
	}
	if l.closed {
		s.reset()
		return false
	}
	s.establish(g)
	l.queue = append(l.queue, s)
	l.ready.Broadcast()
	return true
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	s, err := l.accept()
	if err != nil {
		return nil, err
	}
	return &Conn{s}, nil
}

// accept waits for a connection from the other side.
func (l *listener) accept() (*socket, error) {
	mu := &l.process.host.lan.mu
	mu.Lock()
	defer mu.Unlock()
	for {
		switch {
		case l.closed:
			return nil, sysError("accept", nil, l.Addr(), net.ErrClosed)
		case len(l.queue) > 0 && !l.process.frozen:
			s := l.queue[0]
			l.queue = slices.Delete(l.queue, 0, 1)
			s.listener = nil
			return s, nil
		}
		l.ready.Wait()
	}
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr {
	if !l.local.Addr().IsValid() {
		return &net.TCPAddr{IP: net.IPv6unspecified, Port: int(l.local.Port())}
	}
	return net.TCPAddrFromAddrPort(l.local)
}

// Close implements net.Listener.
func (l *listener) Close() error {
	mu := &l.process.host.lan.mu
	mu.Lock()
	defer mu.Unlock()
	if l.closed {
		return sysError("close", nil, l.Addr(), net.ErrClosed)
	}
	l.closeLocked()
	return nil
}

func (l *listener) closeLocked() {
	h := l.process.host
	l.closed = true
	h.listeners = slices.DeleteFunc(h.listeners, func(o *listener) bool { return o == l })
	for _, s := range l.queue {
		s.closed = true
		s.reset()
	}
	l.queue = nil
	for _, s := range h.socketsInOrder() {
		if s.listener == l && s.state == synReceived {
			s.vanish()
		}
	}
	l.ready.Broadcast()
}
