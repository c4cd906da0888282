package mesh

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"example.com/tcpnet/internal/link"
	"example.com/tcpnet/internal/secure"
)

// enter makes a socket that was dialled private (PROTOCOL.md section 13). A handshake
// costs more than all else in a link's beginning, and is left where it is when overtaken
// ends.
func (m *Mesh) enter(raw net.Conn, addr netip.AddrPort, overtaken context.Context) (net.Conn, error) {
	var conn *secure.Conn
	err := overtaken.Err()
	if err == nil {
		stop := context.AfterFunc(overtaken, func() { raw.Close() })
		raw.SetDeadline(time.Now().Add(handshakeTime))
		if conn, err = m.cfg.Guard.Client(raw); err == nil && stop() {
			return conn, nil
		}
		stop()
	}
	if overtaken.Err() != nil && m.ctx.Err() == nil {
		return nil, &answer{code: link.CodeDuplicate, err: errDuplicate}
	}
	code := link.Code(0)
	switch {
	case errors.Is(err, ErrOpen):
		code = link.CodeOpen
	case errors.Is(err, ErrBusy):
		code = link.CodeBusy
	case errors.Is(err, ErrNoSecret), errors.Is(err, ErrCertificate):
		code = link.CodeNoSecret
	case errors.Is(err, secure.ErrForeign):
		err = fmt.Errorf("%w: %w", ErrNotTCPNet, err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = fmt.Errorf("%w: it closed the connection without an answer", ErrNotTCPNet)
	default:
		return nil, fmt.Errorf("TLS with %v: %w", addr, err)
	}
	return nil, fmt.Errorf("%v: %w", addr, &answer{code, err, Peer{Addr: addr}})
}

// let makes a socket that has come in private, unless its source has had too many
// handshakes that came to nothing.
func (m *Mesh) let(conn net.Conn, remote netip.AddrPort, near bool) (net.Conn, error) {
	from := source(remote.Addr())
	if !near && !m.toll.take(from, time.Now()) {
		conn.Write(secure.Busy())
		return nil, ErrBusy
	}
	private, err := m.cfg.Guard.Server(conn)
	if err != nil {
		return nil, err // not a nil *Conn
	}
	m.toll.refund(from)
	return private, nil
}

// worthTelling reports whether a program should know why a socket is not of its cluster:
// most likely it was meant to be.
func worthTelling(why error) bool {
	return errors.Is(why, ErrOpen) || errors.Is(why, ErrPrivate) || errors.Is(why, ErrNoSecret) || errors.Is(why, ErrCertificate)
}

// stranger takes note of a socket that has come in and is not of this cluster, and tells
// the program if it should know and was not told a moment ago.
func (m *Mesh) stranger(remote netip.AddrPort, err error) {
	if fresh := m.log.met(remote, err); fresh && worthTelling(err) {
		m.step(nil, func(time.Time) {
			m.core.fx.reject(Rejection{Peer: Peer{Addr: remote}, Err: err})
		})
	}
}

// busy is what a socket is told for which there is no room.
func (m *Mesh) busy() []byte {
	if m.cfg.Guard != nil {
		return secure.Busy()
	}
	return link.AppendReject(nil, link.Reject{Code: link.CodeBusy, RetryAfter: uint32(busyRetry.Milliseconds())})
}

const (
	hangUpTime  = time.Second
	hangUpBytes = 16 << 10
)

// hangUp closes the socket of a stranger. If it was told why, what it has sent is read
// before, up to a bound: the kernel would destroy the last word otherwise.
func hangUp(conn net.Conn, why error) {
	t, ok := conn.(interface{ CloseWrite() error })
	if ok && (worthTelling(why) || errors.Is(why, secure.ErrForeign)) {
		conn.SetDeadline(time.Now().Add(hangUpTime))
		t.CloseWrite()
		io.CopyN(io.Discard, conn, hangUpBytes)
	}
	conn.Close()
}

// vouched checks that the ID that a peer claims is the one that it has proved, where
// something had to be proved.
func vouched(conn net.Conn, claimed link.ID) error {
	if c, ok := conn.(*secure.Conn); ok && c.Peer() != string(claimed) {
		return fmt.Errorf("%w: another ID is claimed than was proved", link.ErrProtocol)
	}
	return nil
}

// tlsState returns what TLS knows of the other side, or nil.
func tlsState(conn net.Conn) *tls.ConnectionState {
	if c, ok := conn.(*secure.Conn); ok {
		return c.State()
	}
	return nil
}

// bare returns the socket under TLS, or conn.
func bare(conn net.Conn) net.Conn {
	if c, ok := conn.(*secure.Conn); ok {
		return c.NetConn()
	}
	return conn
}

// SecretsChanged tries those again that are missing, whom the new secrets may let in.
func (m *Mesh) SecretsChanged() {
	m.step(nil, func(now time.Time) {
		m.core.networkChanged(now, func(netip.Addr) bool { return false })
	})
}
