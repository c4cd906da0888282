package netwatch

import (
	"os"

	"golang.org/x/sys/unix"
)

// notify listens to rtnetlink for links and addresses that come, change and go.
func notify() (changes <-chan struct{}, stop func(), err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, nil, os.NewSyscallError("netlink socket", err)
	}
	groups := unix.SockaddrNetlink{
		Family: unix.AF_NETLINK,
		Groups: unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR,
	}
	if err := unix.Bind(fd, &groups); err != nil {
		unix.Close(fd)
		return nil, nil, os.NewSyscallError("netlink bind", err)
	}
	// What changed is not read from the messages: they are only the reason to
	// look. So nothing depends on who sent them, or on none being lost.
	changes, stop = reading(os.NewFile(uintptr(fd), "rtnetlink"), func([]byte) bool { return true })
	return changes, stop, nil
}
