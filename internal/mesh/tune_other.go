//go:build !linux

package mesh

import (
	"net"
	"time"
)

// tune makes the kernel notice a dead peer in about the time that the link takes.
// Only Linux can be told how long unacknowledged bytes may take; elsewhere the
// link decides alone for those.
func tune(conn net.Conn, interval, timeout time.Duration) {
	if t, ok := bare(conn).(*net.TCPConn); ok {
		keepAlive(t, interval, timeout)
	} else {
		tuneOther(conn, interval, timeout)
	}
}
