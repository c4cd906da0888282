package mesh

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// deferAccept lets the kernel keep a connection to itself until its first bytes
// are there: whoever dials speaks first (PROTOCOL.md section 3), and one that says
// nothing is not worth a place among the strangers. It is a help and no need, so
// an error does not matter.
func deferAccept(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, int(handshakeTime.Seconds()))
	})
}

// answerFirst lets the answer to the first bytes of an accepted connection carry
// their acknowledgement, which would otherwise be a packet of its own. What is set on
// a socket that listens already holds for those that it accepts.
func answerFirst(ln net.Listener) {
	if l, ok := ln.(*net.TCPListener); ok {
		if c, err := l.SyscallConn(); err == nil {
			c.Control(func(fd uintptr) {
				unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0)
			})
		}
	}
}
