package main

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strconv"
	"time"

	"example.com/tcpnet/bench/report"
)

// A magic number opens every hello; the other half is the sender's place in the order.
const (
	magic     = 0x666c6f6f // "floo"
	linkMagic = 0x6c696e6b // "link": the dialler's, on a socket that goes before a connection
)

var errNoHello = errors.New("not a hello")

// serve exchanges hellos on c, then reads until the connection ends. It is the
// connection's one goroutine.
func (n *node) serve(c net.Conn) {
	defer c.Close()
	peer, link, err := n.hello(c, magic)
	if err != nil {
		return
	}
	if link {
		io.Copy(io.Discard, c)
		return
	}
	n.report.Now(report.Connected, peer, "")
	n.mu.Lock()
	n.conns[c] = newOutbox(c, n.drop)
	n.mu.Unlock()
	err = n.read(c)
	n.report.Now(report.Gone, peer, err.Error())
	n.mu.Lock()
	n.conns[c].close()
	delete(n.conns, c)
	n.mu.Unlock()
}

// hello sends this node's 8 bytes and returns the peer that sent its own, and whether
// that was to open a link.
func (n *node) hello(c net.Conn, with uint32) (peer string, link bool, err error) {
	var b [8]byte
	binary.BigEndian.PutUint32(b[:4], with)
	binary.BigEndian.PutUint32(b[4:], uint32(n.id))
	if _, err := c.Write(b[:]); err != nil {
		return "", false, err
	}
	if _, err := io.ReadFull(c, b[:]); err != nil {
		return "", false, err
	}
	switch binary.BigEndian.Uint32(b[:4]) {
	case magic:
	case linkMagic:
		link = true
	default:
		return "", false, errNoHello
	}
	return strconv.Itoa(int(binary.BigEndian.Uint32(b[4:]))), link, nil
}

// read takes in what comes and returns what ended the connection.
func (n *node) read(c net.Conn) error {
	if n.dead > 0 {
		return n.sink.Receive(impatient{c, n.dead})
	}
	return n.sink.Receive(c)
}

// impatient is a connection that must not be silent for long.
type impatient struct {
	net.Conn
	dead time.Duration
}

func (c impatient) Read(b []byte) (int, error) {
	c.SetReadDeadline(time.Now().Add(c.dead))
	return c.Conn.Read(b)
}
