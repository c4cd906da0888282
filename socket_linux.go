package tcpnet

import (
	"net"

	"golang.org/x/sys/unix"
)

// States of a TCP socket, as Linux numbers them.
const (
	tcpTimeWait  = 6
	tcpClose     = 7
	tcpCloseWait = 8
	tcpLastAck   = 9
	tcpClosing   = 11
)

// factsOf asks the system about a socket.
func factsOf(raw net.Conn) (f facts) {
	sc, err := syscallConn(raw)
	if err != nil {
		return f
	}
	sc.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return
		}
		unread, err := unix.IoctlGetInt(int(fd), unix.SIOCINQ)
		if err != nil {
			return
		}
		unsent, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
		if err != nil {
			return
		}
		f = facts{known: true, unread: unread, unsent: unsent, moved: info.Bytes_received + info.Bytes_acked}
		switch info.State {
		case tcpTimeWait, tcpCloseWait, tcpLastAck, tcpClosing:
			f.ended = true
		case tcpClose:
			f.ended, f.closed = true, true
		}
	})
	return f
}
