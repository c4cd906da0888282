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

// magic opens every hello; the other half is the sender's place in the order.
const magic = 0x666c6f6f // "floo"

var errNoHello = errors.New("not a hello")

// serve exchanges hellos on c, then reads until the connection ends. It is the
// connection's one goroutine.
func (n *node) serve(c net.Conn) {
	defer c.Close()
	peer, err := n.hello(c)
	if err != nil {
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

// hello sends this node's 8 bytes and returns the peer that sent its own.
func (n *node) hello(c net.Conn) (peer string, err error) {
	var b [8]byte
	binary.BigEndian.PutUint32(b[:4], magic)
	binary.BigEndian.PutUint32(b[4:], uint32(n.id))
	if _, err := c.Write(b[:]); err != nil {
		return "", err
	}
	if _, err := io.ReadFull(c, b[:]); err != nil {
		return "", err
	}
	if binary.BigEndian.Uint32(b[:4]) != magic {
		return "", errNoHello
	}
	return strconv.Itoa(int(binary.BigEndian.Uint32(b[4:]))), nil
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
