package tcpnettest

import (
	"fmt"
	"net"

	"example.com/tcpnet"
)

// Meshed returns nil if every two of the nodes have a live connection to each other
// that both know of, and none of them has one to anybody else. Otherwise the error
// says what is missing or too much.
func Meshed(nodes ...*tcpnet.Node) error {
	for _, a := range nodes {
		conns := a.Connections()
		for _, b := range nodes {
			if a == b {
				continue
			}
			ab, ok := a.Connection(b.ID())
			ba, back := b.Connection(a.ID())
			switch {
			case !ok || !back:
				return fmt.Errorf("%s and %s are not connected", a.Status().Label, b.Status().Label)
			case portOf(ab.LocalAddr()) != portOf(ba.RemoteAddr()) || portOf(ba.LocalAddr()) != portOf(ab.RemoteAddr()):
				return fmt.Errorf("%s and %s are connected by different sockets", a.Status().Label, b.Status().Label)
			}
		}
		if len(conns) > len(nodes)-1 {
			return fmt.Errorf("%s has %d connections among %d nodes", a.Status().Label, len(conns), len(nodes))
		}
	}
	return nil
}

// portOf returns the port of an address. Zones, which each side has its own names
// for, make whole addresses differ.
func portOf(a net.Addr) int { return a.(*net.TCPAddr).Port }
