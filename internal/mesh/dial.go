package mesh

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"example.com/tcpnet/internal/link"
)

// answer is what came back at an address that was dialled, where it was not what
// was hoped for.
type answer struct {
	code link.Code // of a REJECT, sent or received; 0 for anything else
	err  error
}

func (a *answer) Error() string { return a.err.Error() }
func (a *answer) Unwrap() error { return a.err }

// dialPeer makes one attempt at a peer.
func (m *Mesh) dialPeer(p *peer, addrs []netip.AddrPort) {
	err := race(m.ctx, m.cfg.Dial, addrs, func(conn net.Conn, a netip.AddrPort) (bool, error) {
		return m.shakeHands(conn, a, p, nil)
	})
	m.attemptFailed(p, nil, err)
}

// dialSeed makes one attempt at a seed.
func (m *Mesh) dialSeed(s *seed) {
	addrs, err := m.cfg.Resolve(m.ctx, s.text)
	if err == nil {
		err = race(m.ctx, m.cfg.Dial, addrs, func(conn net.Conn, a netip.AddrPort) (bool, error) {
			return m.shakeHands(conn, a, nil, s)
		})
	}
	m.attemptFailed(nil, s, err)
}

// attemptFailed tells core of an attempt that has not led to a link.
func (m *Mesh) attemptFailed(p *peer, s *seed, err error) {
	if err == nil || m.ctx.Err() != nil {
		return
	}
	var a *answer
	var code link.Code
	if errors.As(err, &a) {
		code = a.code
	}
	m.step(nil, func(now time.Time) { m.core.dialFailed(now, p, s, code, err) })
}

// shakeHands is the dialler's side of the handshake, with a peer or a seed. It is
// done when core knows the link, or when it is of no use to try another address.
func (m *Mesh) shakeHands(conn net.Conn, addr netip.AddrPort, p *peer, sd *seed) (done bool, err error) {
	var target link.ID
	attempt := (*schedule)(nil)
	if p != nil {
		target, attempt = p.id, &p.dial
	} else {
		attempt = &sd.dial
	}
	begin := time.Now()
	conn.SetDeadline(begin.Add(handshakeTime))
	m.mu.Lock()
	first := m.helloFrame(link.AppendPreface(nil, link.KindLink), target)
	m.mu.Unlock()
	l := m.newLink(conn, true)
	if _, err := conn.Write(first); err != nil {
		l.Close()
		return false, fmt.Errorf("send HELLO to %v: %w", addr, err)
	}
	h, err := readHello(l)
	if err != nil {
		l.Close()
		var a *answer
		if errors.As(err, &a) {
			switch a.code {
			case link.CodeSelf:
				m.step(nil, func(time.Time) { m.core.reachedSelf(addr, p, sd) })
			case link.CodeWrongNode:
				m.step(nil, func(time.Time) { p.unlearn(addr) })
			case link.CodeLeaving:
				if p != nil {
					m.step(nil, func(time.Time) { p.left = p.sess == nil })
				}
				return true, err
			case link.CodeDuplicateID, link.CodeRefused, link.CodeBusy:
				return true, err
			}
		}
		return false, fmt.Errorf("%v: %w", addr, err)
	}
	s := &session{
		id: l.ID, hello: h, dialled: true, seed: sd,
		remote: addr, local: endpoint(conn.LocalAddr()), rtt: time.Since(begin),
	}
	if code, err := m.check(s, target); err != nil {
		switch code {
		case link.CodeWrongNode:
			m.step(nil, func(time.Time) { p.unlearn(addr) })
		case link.CodeSelf:
			m.step(nil, func(time.Time) { m.core.reachedSelf(addr, p, sd) })
		}
		m.turnAway(l, code, err)
		return code == link.CodeRefused, &answer{code, err}
	}
	job, ok := m.register(l, s, attempt, func() {})
	if !ok {
		l.Close()
		return true, nil // the mesh is closed
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
	return true, nil
}

// readHello reads the acceptor's answer to HELLO.
func readHello(l *link.Link) (*link.Hello, error) {
	t, payload, err := l.Next()
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return nil, &answer{0, fmt.Errorf("%w: it closed the connection without an answer", ErrNotTCPNet)}
	case errors.Is(err, link.ErrProtocol):
		return nil, &answer{0, fmt.Errorf("%w: %w", ErrNotTCPNet, err)}
	case err != nil:
		return nil, fmt.Errorf("wait for HELLO: %w", err)
	case t == link.FrameReject:
		r, err := link.ParseReject(payload)
		if err != nil {
			return nil, &answer{0, fmt.Errorf("%w: %w", ErrNotTCPNet, err)}
		}
		return nil, &answer{r.Code, rejectError(r)}
	case t != link.FrameHello:
		return nil, &answer{0, fmt.Errorf("%w: frame of type %d where HELLO belongs", ErrNotTCPNet, t)}
	}
	h, err := link.ParseHello(payload)
	if err != nil {
		return nil, &answer{0, fmt.Errorf("%w: %w", ErrNotTCPNet, err)}
	}
	return h, nil
}
