package mesh

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"time"

	"example.com/tcpnet/internal/link"
	"example.com/tcpnet/internal/secure"
)

// busyRetry is when a node that was turned away for lack of room may come again.
const busyRetry = 250 * time.Millisecond

// accept serves what comes in on one listener, until that is closed.
func (m *Mesh) accept(ln net.Listener) {
	wait := time.Duration(0)
	for {
		conn, err := ln.Accept()
		if err != nil {
			if m.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			// Out of file descriptors, most likely. It passes.
			wait = min(max(2*wait, 5*time.Millisecond), time.Second)
			m.cfg.Logger.Warn("cannot accept", "err", err, "retry", wait)
			select {
			case <-m.ctx.Done():
				return
			case <-time.After(wait):
			}
			continue
		}
		wait = 0
		m.admit(conn)
	}
}

// admit gives a socket that has come in a place among the strangers, or turns it
// away.
func (m *Mesh) admit(conn net.Conn) {
	remote, local := endpoint(conn.RemoteAddr()), endpoint(conn.LocalAddr())
	if !m.cfg.Usable(local.Addr()) {
		conn.Close()
		return
	}
	near := remote.Addr().IsLoopback() || remote.Addr() == local.Addr()
	leave, ok := m.gate.enter(conn, remote.Addr(), near, 0)
	if !ok { // seldom, so that the peers are not counted each time
		leave, ok = m.gate.enter(conn, remote.Addr(), near, m.allowance(remote.Addr()))
	}
	if !ok {
		conn.Write(m.busy())
		conn.Close()
		m.log.met(remote, ErrBusy)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		leave()
		conn.Close()
		return
	}
	m.wg.Go(func() { m.serve(conn, remote, near, leave) })
}

// allowance returns how many strangers are allowed at an address because of the
// peers that are there.
func (m *Mesh) allowance(a netip.Addr) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.core.sessions {
		if !s.adopted {
			continue
		}
		if s.remote.Addr() == a || slices.ContainsFunc(s.peer.addrs, func(at netip.AddrPort) bool { return at.Addr() == a }) {
			n += 2 * maxOpening
		}
	}
	return n
}

// serve finds out what a socket that has come in is for. near says that it comes
// from this machine.
func (m *Mesh) serve(conn net.Conn, remote netip.AddrPort, near bool, leave func() bool) {
	conn.SetDeadline(time.Now().Add(handshakeTime))
	if m.cfg.Guard != nil {
		private, err := m.let(conn, remote, near)
		if err != nil {
			m.stranger(remote, err)
			hangUp(conn, err)
			leave()
			return
		}
		conn = private
	}
	var preface [link.PrefaceLen]byte
	if n, err := io.ReadFull(conn, preface[:]); err != nil {
		if n > 0 {
			m.log.met(remote, fmt.Errorf("%w: %w", link.ErrProtocol, err))
		}
		leave()
		conn.Close()
		return
	}
	kind, err := link.ParsePreface(preface[:])
	switch {
	case m.cfg.Guard == nil && preface[0] == secure.RecordHandshake:
		m.stranger(remote, ErrPrivate)
		conn.Write(link.AppendReject(nil, link.Reject{Code: link.CodeOpen}))
		hangUp(conn, ErrPrivate)
		leave()
	case err != nil:
		m.log.met(remote, err)
		leave()
		conn.Close()
	case kind == link.KindConn:
		m.serveConn(conn, remote, leave)
	case kind == link.KindStream:
		m.serveStream(conn, remote, leave)
	default:
		m.serveLink(conn, remote, leave)
	}
}

// serveLink is the acceptor's side of the handshake, and of the link after it.
func (m *Mesh) serveLink(conn net.Conn, remote netip.AddrPort, leave func() bool) {
	l := m.newLink(conn)
	defer leave()
	defer l.Close()
	t, payload, err := l.Next()
	if err == nil && t != link.FrameHello {
		err = fmt.Errorf("%w: frame of type %d where HELLO belongs", link.ErrProtocol, t)
	}
	var h *link.Hello
	if err == nil {
		h, err = link.ParseHello(payload)
	}
	if err == nil {
		err = vouched(conn, h.ID)
	}
	if err != nil {
		m.log.met(remote, err)
		return
	}
	s := &session{id: l.ID, hello: h, remote: remote, local: endpoint(conn.LocalAddr()), tls: tlsState(conn)}
	if code, err := m.check(s, ""); err != nil {
		fresh := m.log.met(remote, err)
		if fresh && (code == link.CodeDuplicateID || code == link.CodeRefused) {
			m.step(nil, func(time.Time) {
				m.core.fx.reject(Rejection{Peer: peerInfo(s), Err: err})
			})
		}
		m.turnAway(l, code, err)
		return
	}
	if job, ok := m.register(l, s, nil, leave); ok {
		m.start(job)
		m.run(l)
	}
}

// start does a job that a step has returned in a goroutine of its own.
func (m *Mesh) start(job func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if job != nil && !m.closed {
		m.wg.Go(job)
	}
}

// turnAway sends REJECT on a link that core does not know.
func (m *Mesh) turnAway(l *link.Link, code link.Code, err error) {
	r := link.Reject{Code: code}
	if code == link.CodeRefused {
		r.Text = refusal(err)
	}
	l.Send(link.AppendReject(nil, r))
	l.End()
	l.Flush()
}

// newLink returns a link with a number of its own.
func (m *Mesh) newLink(conn net.Conn) *link.Link {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lastLink++
	return link.New(conn, m.lastLink)
}

// check applies PROTOCOL.md section 5.1 to the HELLO of the other side, and then
// asks the program. target is the ID that was meant, on a link that this side
// dialled.
func (m *Mesh) check(s *session, target link.ID) (link.Code, error) {
	h := s.hello
	switch {
	case h.MinVersion > link.Version || h.MaxVersion < link.Version:
		return link.CodeVersion, fmt.Errorf("%w: it speaks %d to %d", ErrVersion, h.MinVersion, h.MaxVersion)
	case h.Name != m.cfg.Name:
		return link.CodeWrongName, ErrWrongName
	case h.Incarnation == m.inc:
		return link.CodeSelf, errSelf
	case h.ID == m.cfg.ID:
		return link.CodeDuplicateID, ErrDuplicateID
	case s.dialled && target != "" && h.ID != target:
		return link.CodeWrongNode, fmt.Errorf("%w: %s", ErrWrongNode, h.ID)
	case !s.dialled && h.Target != "" && h.Target != m.cfg.ID:
		return link.CodeWrongNode, fmt.Errorf("%w: it looks for %s", ErrWrongNode, h.Target)
	}
	h.Addrs = reachable(h.Addrs, s)
	if m.cfg.Admit != nil {
		if err := m.askProgram(peerInfo(s)); err != nil {
			return link.CodeRefused, err
		}
	}
	return 0, nil
}

// reachable returns the addresses of a peer's HELLO as seen from here, the one it
// has proved to be at first.
func reachable(told []netip.AddrPort, s *session) (addrs []netip.AddrPort) {
	if s.dialled {
		addrs = append(addrs, s.remote)
	} else if len(told) > 0 {
		addrs = append(addrs, netip.AddrPortFrom(s.remote.Addr(), told[0].Port()))
	}
	for _, a := range receivable(told, s.remote.Addr()) {
		if a != addrs[0] {
			addrs = append(addrs, a)
		}
	}
	return addrs
}

// register shows core a link whose HELLO has passed all checks, and returns what
// stepTaking returns. release gives the link's place among the strangers back.
func (m *Mesh) register(l *link.Link, s *session, attempt *schedule, release func() bool) (job func(), ok bool) {
	job = m.stepTaking(l, func(now time.Time) {
		ok = true
		m.links[l.ID] = &entry{l, release, newPath(m.ctx)}
		m.core.hello(now, s, attempt)
	})
	return job, ok
}

// run handles the frames of a link until it ends.
func (m *Mesh) run(l *link.Link) {
	var err error
	for err == nil {
		var job func()
		job, err = m.frame(l)
		if job != nil {
			m.start(job)
		}
	}
	if errors.Is(err, link.ErrProtocol) {
		m.cfg.Logger.Warn("link ends: protocol broken", "remote", l.Conn.RemoteAddr(), "err", err)
		l.Send(link.AppendGoodbye(nil, link.Goodbye{Code: link.CodeProtocol, Text: err.Error()}))
		l.Flush()
	}
	l.Close()
	m.mu.Lock()
	e := m.links[l.ID]
	m.mu.Unlock()
	m.step(nil, func(now time.Time) { m.core.closed(now, l.ID, ErrReset) })
	m.mu.Lock()
	delete(m.links, l.ID)
	m.mu.Unlock()
	e.release()
	e.path.end()
}

// frame handles the next frame of a link, and returns what stepTaking returns.
func (m *Mesh) frame(l *link.Link) (job func(), err error) {
	t, p, err := l.Next()
	if err != nil {
		return nil, err
	}
	handle, err := m.handler(l, t, p)
	if err != nil {
		return nil, err
	}
	return m.stepTaking(l, func(now time.Time) {
		m.core.heard(now, l.ID)
		handle(now)
	}), nil
}

// handler returns what core is to be told of a frame.
func (m *Mesh) handler(l *link.Link, t link.FrameType, p []byte) (handle func(now time.Time), err error) {
	switch t {
	case link.FrameCommit:
		c, err := link.ParseCommit(p)
		if err != nil {
			return nil, err
		}
		handle = func(now time.Time) { m.core.commit(now, l.ID, c) }
	case link.FrameReject:
		r, err := link.ParseReject(p)
		if err != nil {
			return nil, err
		}
		handle = func(now time.Time) { m.core.rejected(now, l.ID, r) }
	case link.FramePing, link.FramePong:
		ping, err := link.ParsePing(p)
		if err != nil {
			return nil, err
		}
		if t == link.FramePing {
			handle = func(now time.Time) { m.core.gotPing(now, l.ID, ping) }
		} else {
			handle = func(now time.Time) { m.core.gotPong(now, l.ID, ping) }
		}
	case link.FrameGoodbye:
		g, err := link.ParseGoodbye(p)
		if err != nil {
			return nil, err
		}
		handle = func(now time.Time) { m.core.goodbye(now, l.ID, g) }
	case link.FrameClose:
		number, err := link.ParseClose(p)
		if err != nil {
			return nil, err
		}
		handle = func(now time.Time) { m.core.gotClose(now, l.ID, number) }
	case link.FrameAsk:
		handle = func(now time.Time) { m.core.gotAsk(now, l.ID) }
	case link.FramePeers:
		entries, more, err := link.ParsePeers(p)
		if err != nil {
			return nil, err
		}
		handle = func(now time.Time) { m.core.gotPeers(now, l.ID, entries, more) }
	case link.FrameHearsay:
		entries, _, err := link.ParsePeers(p)
		if err != nil {
			return nil, err
		}
		handle = func(now time.Time) { m.core.gotHearsay(now, l.ID, entries) }
	case link.FrameDial:
		d, err := link.ParseDial(p)
		if err != nil {
			return nil, err
		}
		handle = func(time.Time) { m.gotDial(l.ID, d) }
	case link.FrameNoDial:
		n, err := link.ParseNoDial(p)
		if err != nil {
			return nil, err
		}
		handle = func(time.Time) { m.gotNoDial(l.ID, n) }
	case link.FrameHello:
		return nil, fmt.Errorf("%w: a second HELLO", link.ErrProtocol)
	default:
		handle = func(time.Time) {}
	}
	return handle, nil
}

// endpoint returns the address of one end of a socket, as plain IPv4 where it is.
func endpoint(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	ap, _ := netip.ParseAddrPort(a.String())
	return ap
}
