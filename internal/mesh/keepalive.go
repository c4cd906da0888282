package mesh

import (
	"net"
	"time"
)

// keepsAlive is a socket of the system's or of a simulated network.
type keepsAlive interface {
	SetKeepAliveConfig(net.KeepAliveConfig) error
}

// keepAlive probes a silent connection as often as the link is pinged once it has
// been silent for the link's time-out, in whole seconds as kernels want them. The
// link notices first; this is for the rare case that only this socket is dead.
func keepAlive(t keepsAlive, interval, timeout time.Duration) {
	t.SetKeepAliveConfig(net.KeepAliveConfig{
		Enable:   true,
		Idle:     max(timeout, time.Second),
		Interval: max(interval, time.Second),
		Count:    3,
	})
}

// tuneOther is tune for what is no socket of the system's.
func tuneOther(conn net.Conn, interval, timeout time.Duration) {
	if t, ok := conn.(keepsAlive); ok {
		keepAlive(t, interval, timeout)
	}
	if t, ok := conn.(interface{ SetUserTimeout(time.Duration) error }); ok {
		t.SetUserTimeout(timeout)
	}
}
