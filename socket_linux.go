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

// systemTells says that systemFacts knows something.
const systemTells = true

// systemFacts asks the system about a socket.
func systemFacts(raw net.Conn) (f facts) {
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
		f.known = true
		f.Unread, f.Unsent, f.Received, f.Acked = unread, unsent, info.Bytes_received, info.Bytes_acked
		switch info.State {
		case tcpTimeWait, tcpCloseWait, tcpLastAck, tcpClosing:
			f.Ended = true
		case tcpClose:
			f.Ended, f.Closed = true, true
		}
		if f.Ended { // by FIN, which counts as a byte, but for resets
			f.Received--
		}
	})
	return f
}
