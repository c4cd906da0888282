package mesh

import (
	"net"
	"time"
)

// tune makes the kernel notice, in about the time that the link takes, that nobody is
// at the other end of a silent connection: it is probed as often as the link is
// pinged once it has been silent for the link's time-out, in whole seconds as kernels
// want them. The link notices first; this is for the rare case that only this socket
// is dead.
//
// There is no limit on how long bytes wait for their acknowledgement. Linux has one,
// TCP_USER_TIMEOUT, but it also counts the time for which a living peer does not read
// and its window is closed. When the peer is gone, the link tells.
func tune(conn net.Conn, interval, timeout time.Duration) {
	// A *net.TCPConn, or one of a simulated network.
	if t, ok := bare(conn).(interface {
		SetKeepAliveConfig(net.KeepAliveConfig) error
	}); ok {
		t.SetKeepAliveConfig(net.KeepAliveConfig{
			Enable:   true,
			Idle:     max(timeout, time.Second),
			Interval: max(interval, time.Second),
			Count:    3,
		})
	}
}
