package tcpnettest

import (
	"net"

	"example.com/tcpnet/internal/netstack"
)

// nodeConn is a connection as nodes have it, who ask the system about theirs.
type nodeConn struct{ *Conn }

var _ netstack.Socket = nodeConn{}

// Facts implements netstack.Socket. The end of a stream that is sent counts as a byte, and
// what was not delivered before a reset stays undelivered, as Linux has it. Of a socket that the
// program has closed it says nothing.
func (c nodeConn) Facts() (f netstack.Facts) {
	defer c.lock().Unlock()
	s := c.s
	if s.closed {
		return f
	}
	f = netstack.Facts{
		Unread: len(s.in), Unsent: len(s.out),
		Ended: s.eof || s.state == closed, Closed: s.eof && s.finished || s.state == closed,
		Received: s.rcv, Acked: s.una,
	}
	switch {
	case s.finished:
		f.Acked++
	case s.fin:
		f.Unsent++
	}
	return f
}

// nodeListener is a listener as nodes have it.
type nodeListener struct{ *listener }

// Accept implements net.Listener.
func (l nodeListener) Accept() (net.Conn, error) {
	s, err := l.accept()
	if err != nil {
		return nil, err
	}
	return nodeConn{&Conn{s}}, nil
}
