package mesh

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// tune makes the kernel notice a dead peer in about the time that the link takes:
// bytes that nobody acknowledges for timeout end the connection, and a silent one
// is probed.
func tune(conn net.Conn, interval, timeout time.Duration) {
	t, ok := bare(conn).(*net.TCPConn)
	if !ok {
		tuneOther(conn, interval, timeout)
		return
	}
	keepAlive(t, interval, timeout)
	if raw, err := t.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) {
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(timeout.Milliseconds()))
		})
	}
}
