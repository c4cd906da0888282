//go:build darwin || freebsd || openbsd || netbsd || dragonfly

package mdns

import (
	"net/netip"

	"golang.org/x/net/ipv4"
)

func socketOptions(fd int, _, shared bool) error {
	if !shared {
		return nil
	}
	return sharePort(fd)
}

// chooseInterface makes an IPv4 packet go out by an interface. The BSDs have no
// control message for it, so it is an option of the socket: packets are sent by
// one goroutine.
func chooseInterface(p *ipv4.PacketConn, via Interface, to netip.Addr) ([]byte, error) {
	if !to.IsMulticast() {
		return nil, nil
	}
	return nil, p.SetMulticastInterface(&via.Interface)
}
