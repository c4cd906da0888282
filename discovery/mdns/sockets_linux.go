package mdns

import (
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

func socketOptions(fd int, v6, shared bool) error {
	// Without this, a socket hears what any program of the machine has joined.
	// Kernels that do not know the option are as deaf to it as to the error.
	if v6 {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 0)
	} else {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0)
	}
	if !shared {
		return nil
	}
	return sharePort(fd)
}

// chooseInterface returns the control message that sends an IPv4 packet out by an
// interface. Loopback needs its source address, too.
func chooseInterface(_ *ipv4.PacketConn, via Interface, to netip.Addr) ([]byte, error) {
	cm := ipv4.ControlMessage{IfIndex: via.Index}
	if src := loopbackSource(via); src.IsValid() && to.IsMulticast() {
		cm.Src = src.AsSlice()
	}
	return cm.Marshal(), nil
}
