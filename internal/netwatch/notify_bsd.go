//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package netwatch

import (
	"os"

	"golang.org/x/sys/unix"
)

// notify listens to a route socket (route(4)).
//
// This file is compiled and vetted for its systems and has not been run on
// them.
func notify() (changes <-chan struct{}, stop func(), err error) {
	fd, err := unix.Socket(unix.AF_ROUTE, unix.SOCK_RAW, unix.AF_UNSPEC)
	if err != nil {
		return nil, nil, os.NewSyscallError("route socket", err)
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, nil, os.NewSyscallError("route socket: set non-blocking", err)
	}
	changes, stop = reading(os.NewFile(uintptr(fd), "route"), aboutInterfaces)
	return changes, stop, nil
}

// aboutInterfaces reports whether a message is about interfaces and addresses
// and not about routes, of which there are many more. The types of messages
// about routes are the ones that all systems agree on, and the fourth byte of
// a message is its type.
func aboutInterfaces(message []byte) bool {
	if len(message) < 4 {
		return false
	}
	switch message[3] {
	case unix.RTM_ADD, unix.RTM_DELETE, unix.RTM_CHANGE, unix.RTM_GET, unix.RTM_LOSING, unix.RTM_REDIRECT, unix.RTM_MISS:
		return false
	}
	return true
}
