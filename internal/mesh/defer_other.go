//go:build !linux

package mesh

import (
	"net"
	"syscall"
)

// deferAccept does nothing: only Linux can keep silent connections to itself.
func deferAccept(_, _ string, _ syscall.RawConn) error { return nil }

// answerFirst does nothing: only Linux is known to allow it.
func answerFirst(net.Listener) {}
