package mesh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
	"time"

	"example.com/tcpnet/internal/link"
	"example.com/tcpnet/internal/secure"
)

// answer is what came back at an address that was dialled, where it was not what
// was hoped for.
type answer struct {
	code link.Code // of a REJECT, sent or received; 0 for anything else
	err  error
	peer Peer // who gave it, as far as it is known
}

func (a *answer) Error() string { return a.err.Error() }
func (a *answer) Unwrap() error { return a.err }

// dialPeer makes one attempt at a peer.
func (m *Mesh) dialPeer(p *peer, addrs []netip.AddrPort) {
	overtaken, linked := context.WithCancel(m.ctx)
	defer linked()
	m.mu.Lock()
	m.dialling[p] = &linked
	m.mu.Unlock()
	err := race(m.ctx, addrs, &m.room, func(ctx context.Context, a netip.AddrPort, r *contest) error {
		return m.dialLink(ctx, overtaken, a, p, nil, r)
	})
	m.mu.Lock()
	if m.dialling[p] == &linked { // else a later attempt has begun
		delete(m.dialling, p)
	}
	m.mu.Unlock()
	m.attemptFailed(p, nil, err)
}

// dialSeed makes one attempt at a seed.
func (m *Mesh) dialSeed(s *seed) {
	addrs, err := m.cfg.Resolve(m.ctx, s.text)
	if err == nil {
		err = race(m.ctx, addrs, &m.room, func(ctx context.Context, a netip.AddrPort, r *contest) error {
			return m.dialLink(ctx, m.ctx, a, nil, s, r)
		})
	}
	m.attemptFailed(nil, s, err)
}

// dial opens a socket that is closed when ctx ends, until keep is called, which
// reports false if that has happened. It tells r when there is a connection, and in
// a private cluster makes it private then, unless overtaken ends meanwhile.
func (m *Mesh) dial(ctx, overtaken context.Context, addr netip.AddrPort, r *contest) (conn net.Conn, keep func() bool, err error) {
	within, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	conn, err = m.cfg.Dial(within, addr)
	if err != nil {
		return nil, nil, err
	}
	r.established()
	raw := conn
	keep = context.AfterFunc(ctx, func() { cut(raw) })
	if m.cfg.Guard != nil {
		r.hold()
		if conn, err = m.enter(raw, addr, overtaken); err != nil {
			keep()
			raw.Close()
			return nil, nil, err
		}
	}
	return conn, keep, nil
}

// attemptFailed tells core of an attempt that has not led to a link.
func (m *Mesh) attemptFailed(p *peer, s *seed, err error) {
	if err == nil || m.ctx.Err() != nil {
		return
	}
	m.counters.dialFailed(err)
	var a *answer
	var code link.Code
	if errors.As(err, &a) {
		code = a.code
	}
	m.step(nil, func(now time.Time) { m.core.dialFailed(now, p, s, code, err) })
}

// dialLink dials a link to a peer or a seed: the dialler's side of the handshake.
// overtaken ends when there is a link to the peer, whoever dialled it.
func (m *Mesh) dialLink(ctx, overtaken context.Context, addr netip.AddrPort, p *peer, sd *seed, r *contest) error {
	dialled := time.Now()
	conn, keep, err := m.dial(ctx, overtaken, addr, r)
	if err != nil {
		return err
	}
	var target link.ID
	var sched *schedule
	if p != nil {
		target, sched = p.id, &p.dial
	} else {
		sched = &sd.dial
	}
	begin := time.Now()
	conn.SetDeadline(begin.Add(handshakeTime))
	m.mu.Lock()
	linked := p != nil && p.sess != nil
	first := m.helloFrame(link.AppendPreface(nil, link.KindLink), target, addr.Addr())
	m.mu.Unlock()
	if linked { // it has dialled us meanwhile
		conn.Close()
		return &answer{code: link.CodeDuplicate, err: errDuplicate}
	}
	l := m.newLink(conn)
	if _, err := conn.Write(first); err != nil {
		l.Close()
		return fmt.Errorf("send HELLO to %v: %w", addr, err)
	}
	h, err := readHello(l)
	if err == nil {
		err = vouched(conn, h.ID)
	}
	if err != nil {
		l.Close()
		if a := (*answer)(nil); errors.As(err, &a) {
			a.peer.Addr = addr
		}
		m.refused(addr, p, sd, err)
		return fmt.Errorf("%v: %w", addr, err)
	}
	s := &session{
		id: l.ID, hello: h, dialled: true, seed: sd,
		remote: addr, local: endpoint(conn.LocalAddr()), rtt: time.Since(begin), tls: tlsState(conn),
	}
	if code, err := m.check(s, target); err != nil {
		m.turnAway(l, code, err)
		err = &answer{code, err, peerInfo(s)}
		m.refused(addr, p, sd, err)
		return err
	}
	if !r.win(ctx) || !keep() {
		l.Close()
		return context.Canceled
	}
	m.counters.handshakes.observe(time.Since(dialled))
	job, ok := m.register(l, s, sched, func() bool { return true })
	if !ok {
		l.Close()
		return context.Canceled // the mesh is closed
	}
	if job == nil && l.Buffered() { // COMMIT often comes with HELLO
		if job, err = m.frame(l); err != nil {
			l.Close() // run tells core
		}
	}
	m.start(func() { m.run(l) })
	if job != nil {
		job()
	}
	return nil
}

// refused takes note of what is to be learned from an answer.
func (m *Mesh) refused(addr netip.AddrPort, p *peer, sd *seed, err error) {
	var a *answer
	if !errors.As(err, &a) {
		return
	}
	m.step(nil, func(now time.Time) {
		switch {
		case a.code == link.CodeSelf:
			m.core.reachedSelf(addr, p, sd)
		case a.code == link.CodeWrongNode && p != nil:
			m.core.wrongNode(now, addr, p)
		case a.code == link.CodeLeaving && p != nil:
			m.core.gone(now, p, []netip.AddrPort{addr})
		}
	})
}

// readHello reads the acceptor's answer to HELLO.
func readHello(l *link.Link) (*link.Hello, error) {
	t, payload, err := l.Next()
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return nil, &answer{err: fmt.Errorf("%w: it closed the connection without an answer", ErrNotTCPNet)}
	case errors.Is(err, link.ErrProtocol) && t == secure.RecordAlert:
		return nil, &answer{code: link.CodePrivate, err: ErrPrivate}
	case errors.Is(err, link.ErrProtocol):
		return nil, &answer{err: fmt.Errorf("%w: %w", ErrNotTCPNet, err)}
	case err != nil:
		return nil, fmt.Errorf("wait for HELLO: %w", err)
	case t == link.FrameReject:
		r, err := link.ParseReject(payload)
		if err != nil {
			return nil, &answer{err: fmt.Errorf("%w: %w", ErrNotTCPNet, err)}
		}
		return nil, &answer{code: r.Code, err: rejectError(r)}
	case t != link.FrameHello:
		return nil, &answer{err: fmt.Errorf("%w: frame of type %d where HELLO belongs", ErrNotTCPNet, t)}
	}
	h, err := link.ParseHello(payload)
	if err != nil {
		return nil, &answer{err: fmt.Errorf("%w: %w", ErrNotTCPNet, err)}
	}
	return h, nil
}
