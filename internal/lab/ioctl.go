//go:build linux

package lab

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// running waits until both ends of the cable, unless one was taken down, have
// noticed that they are connected. The kernel leaves that to a worker that may
// be late, and until then frames get lost: without this, one host in ten loses
// its first ARP request and a second with it.
func (p *Port) running() error {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Microsecond) {
		near, err := p.Host.ns.flags(p.Name)
		if err != nil {
			return err
		}
		far, err := p.Host.lab.floor.flags(p.end)
		if err != nil {
			return err
		}
		if near&far&unix.IFF_UP == 0 || near&far&unix.IFF_RUNNING != 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s of %s does not get a carrier", p.Name, p.Host.Name)
		}
	}
}

// flags returns the flags of an interface.
func (n *namespace) flags(name string) (uint16, error) {
	r, err := unix.NewIfreq(name)
	if err == nil {
		err = unix.IoctlIfreq(n.socket, unix.SIOCGIFFLAGS, r)
	}
	if err != nil {
		return 0, fmt.Errorf("flags of %s: %w", name, err)
	}
	return r.Uint16(), nil
}

// index returns the index of an interface.
func (n *namespace) index(name string) (int, error) {
	r, err := unix.NewIfreq(name)
	if err == nil {
		err = unix.IoctlIfreq(n.socket, unix.SIOCGIFINDEX, r)
	}
	if err != nil {
		return 0, fmt.Errorf("index of %s: %w", name, err)
	}
	return int(r.Uint32()), nil
}

// join makes an interface a port of a bridge.
func (n *namespace) join(bridge, port string) error {
	index, err := n.index(port)
	if err != nil {
		return err
	}
	r, err := unix.NewIfreq(bridge)
	if err != nil {
		return err
	}
	r.SetUint32(uint32(index))
	return os.NewSyscallError("SIOCBRADDIF", unix.IoctlIfreq(n.socket, unix.SIOCBRADDIF, r))
}
