package mesh

import (
	"net"
	"time"
)

// keepAlive probes a silent connection as often as the link is pinged once it has
// been silent for the link's time-out, in whole seconds as kernels want them. The
// link notices first; this is for the rare case that only this socket is dead.
func keepAlive(t *net.TCPConn, interval, timeout time.Duration) {
	t.SetKeepAliveConfig(net.KeepAliveConfig{
		Enable:   true,
		Idle:     max(timeout, time.Second),
		Interval: max(interval, time.Second),
		Count:    3,
	})
}
