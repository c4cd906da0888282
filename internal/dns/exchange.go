package dns

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// maxStray is how many packets that answer nothing are read for one question.
const maxStray = 100

// exchange asks one server one question.
func exchange(ctx context.Context, server netip.AddrPort, q dnsmessage.Question, tcp bool, timeout time.Duration) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	a, err := once(ctx, server, q, tcp, true)
	var f failure
	if errors.As(err, &f) && (f.code == dnsmessage.RCodeFormatError || f.code == dnsmessage.RCodeNotImplemented) {
		return once(ctx, server, q, tcp, false) // an old one (RFC 6891, section 6.2.2)
	}
	return a, err
}

// once asks by TCP, or by UDP and then by TCP if the answer is too large.
func once(ctx context.Context, server netip.AddrPort, q dnsmessage.Question, tcp, extended bool) (Answer, error) {
	var random [2]byte
	rand.Read(random[:]) // never fails
	id := binary.BigEndian.Uint16(random[:])
	packet, err := ask(id, q, extended)
	if err != nil {
		return Answer{}, err
	}
	if !tcp {
		a, err := overUDP(ctx, server, packet, id, q)
		if !errors.Is(err, errTruncated) {
			return a, err
		}
	}
	return overTCP(ctx, server, packet, id, q)
}

// dial opens a socket that fails when ctx ends.
func dial(ctx context.Context, network string, server netip.AddrPort) (net.Conn, func(), error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, server.String())
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	return conn, func() { stop(); conn.Close() }, nil
}

func overUDP(ctx context.Context, server netip.AddrPort, packet []byte, id uint16, q dnsmessage.Question) (Answer, error) {
	conn, done, err := dial(ctx, "udp", server) // from a port of its own, from this server only
	if err != nil {
		return Answer{}, err
	}
	defer done()
	if _, err := conn.Write(packet); err != nil {
		return Answer{}, ended(ctx, err)
	}
	buf := make([]byte, 4096)
	for range maxStray {
		n, err := conn.Read(buf)
		if err != nil {
			return Answer{}, ended(ctx, err)
		}
		// Whatever comes that is not the answer, it may yet follow.
		if a, err := read(buf[:n], id, q); !errors.Is(err, errStray) {
			return a, err
		}
	}
	return Answer{}, errStray
}

func overTCP(ctx context.Context, server netip.AddrPort, packet []byte, id uint16, q dnsmessage.Question) (Answer, error) {
	conn, done, err := dial(ctx, "tcp", server)
	if err != nil {
		return Answer{}, err
	}
	defer done()
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)); err != nil {
		return Answer{}, ended(ctx, err)
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return Answer{}, ended(ctx, err)
	}
	var msg bytes.Buffer // grows with what comes
	if _, err := io.CopyN(&msg, conn, int64(binary.BigEndian.Uint16(size[:]))); err != nil {
		return Answer{}, ended(ctx, err)
	}
	a, err := read(msg.Bytes(), id, q)
	if errors.Is(err, errTruncated) {
		err = errors.New("the answer is truncated, even by TCP")
	}
	return a, err
}

var errTimeout = errors.New("no answer in time")

// ended returns why a socket has failed: because ctx has ended, if it has.
func ended(ctx context.Context, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return errTimeout
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return err
}
