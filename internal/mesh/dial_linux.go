package mesh

import (
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// dialControl spares two things when a socket is dialled. Both are a help and no
// need, so that errors do not matter.
//
// The first is a packet: whoever dials speaks first (PROTOCOL.md section 3), and
// those bytes can carry the acknowledgement that ends TCP's handshake.
//
// The second is a wait. Package net lets the goroutine sleep until the network poller
// finds the socket connected, even if it has been since connect returned, as it is
// where the other end is on the same machine. A socket that is connected, or about to
// be, when package net connects it is all right with it.
func dialControl(addr netip.AddrPort) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0)
			switch a := addr.Addr(); {
			case a.Is4():
				unix.Connect(int(fd), &unix.SockaddrInet4{Port: int(addr.Port()), Addr: a.As4()})
			case a.Is6() && !a.Is4In6() && a.Zone() == "":
				unix.Connect(int(fd), &unix.SockaddrInet6{Port: int(addr.Port()), Addr: a.As16()})
			}
		})
	}
}
