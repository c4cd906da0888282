package mesh

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"example.com/tcpnet/internal/link"
	"example.com/tcpnet/internal/secure"
)

// openConn dials the connection of this number (PROTOCOL.md section 6).
func (m *Mesh) openConn(s *session, number uint64, token link.Token) {
	first := append(link.AppendPreface(nil, link.KindConn), token[:]...)
	err := race(m.ctx, []netip.AddrPort{s.remote}, &m.room, func(ctx context.Context, a netip.AddrPort, r *contest) error {
		conn, keep, err := m.dial(ctx, m.ctx, a, r)
		if err != nil {
			return err
		}
		conn.SetDeadline(time.Now().Add(handshakeTime))
		var answer [1]byte
		if err = vouched(conn, s.hello.ID); err == nil {
			_, err = conn.Write(first)
		}
		if err == nil {
			_, err = io.ReadFull(conn, answer[:])
		}
		if err == nil && answer[0] != link.Accepted {
			err = fmt.Errorf("%w: answered %#x to a token", link.ErrProtocol, answer[0])
		}
		if err != nil {
			cut(conn)
			return err
		}
		if !r.win(ctx) || !keep() {
			cut(conn)
			return context.Canceled
		}
		m.connUp(s, number, conn)
		return nil
	})
	if err != nil {
		m.step(nil, func(now time.Time) { m.core.connFailed(now, s, number) })
	}
}

// serveConn is the acceptor's side of openConn.
func (m *Mesh) serveConn(conn net.Conn, remote netip.AddrPort, leave func() bool) {
	defer leave()
	var token link.Token
	if _, err := io.ReadFull(conn, token[:]); err != nil {
		conn.Close()
		m.log.met(remote, fmt.Errorf("%w: %w", link.ErrProtocol, err))
		return
	}
	c, ok := m.redeem(token)
	if !ok {
		conn.Close()
		return
	}
	if !leave() || vouched(conn, c.session.hello.ID) != nil {
		conn.Close()
		m.step(nil, func(now time.Time) { m.core.connFailed(now, c.session, c.number) })
		return
	}
	if _, err := conn.Write([]byte{link.Accepted}); err != nil {
		cut(conn)
		m.step(nil, func(now time.Time) { m.core.connFailed(now, c.session, c.number) })
		return
	}
	m.connUp(c.session, c.number, conn)
}

// redeem returns what a token stands for. A token that nobody knows may be ahead
// of the COMMIT that explains it, which comes by another socket.
func (m *Mesh) redeem(token link.Token) (claim, bool) {
	m.mu.Lock()
	c, ok := m.tokens[token]
	if ok {
		delete(m.tokens, token)
		delete(m.expected, c.session)
		m.mu.Unlock()
		return c, true
	}
	if m.early[token] != nil || m.closed { // a second socket with the same token
		m.mu.Unlock()
		return claim{}, false
	}
	explained := make(chan claim, 1)
	m.early[token] = explained
	m.mu.Unlock()

	timer := time.NewTimer(handshakeTime)
	defer timer.Stop()
	select {
	case c := <-explained:
		return c, true
	case <-timer.C:
	case <-m.ctx.Done():
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.early, token)
	select {
	case c := <-explained:
		return c, true
	default:
		return claim{}, false
	}
}

// connUp hands a socket to the program, if it still has a place.
func (m *Mesh) connUp(s *session, number uint64, conn net.Conn) {
	conn.SetDeadline(time.Time{})
	tune(conn, m.cfg.Interval, m.cfg.Timeout)
	up := false
	m.step(nil, func(now time.Time) {
		if up = m.core.connUp(now, s, number); up {
			c := &Connection{Net: conn, Peer: peerInfo(s), mesh: m, session: s, number: number}
			c.Peer.Addr, c.Peer.TLS = endpoint(conn.RemoteAddr()), tlsState(conn)
			m.open[s] = c
			m.outbox = append(m.outbox, func() { m.cfg.Program.Up(c) })
		}
	})
	if !up {
		cut(conn)
	}
}

// cut closes a connection that the program on the other side may have already: it must
// not take this for the end of what ours had to say.
func cut(conn net.Conn) {
	switch c := conn.(type) {
	case *secure.Conn:
		c.Cut()
	case interface{ SetLinger(sec int) error }:
		c.SetLinger(0)
		conn.Close()
	default:
		conn.Close()
	}
}
