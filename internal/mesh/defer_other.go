//go:build !linux

package mesh

import "syscall"

// deferAccept does nothing: only Linux can keep silent connections to itself.
func deferAccept(_, _ string, _ syscall.RawConn) error { return nil }
