//go:build !linux

package mesh

import (
	"net/netip"
	"syscall"
)

// dialControl returns nothing: only Linux is known to like it.
func dialControl(netip.AddrPort) func(network, address string, c syscall.RawConn) error { return nil }
