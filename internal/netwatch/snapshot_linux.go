package netwatch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// snapshot asks the kernel over rtnetlink: one dump of the links and one of
// the addresses, over one socket. Package net takes a dump of all links per
// interface for the same.
//
// Where the process may not ask, as on recent Android, package net is tried.
func snapshot() (State, error) {
	s, err := netlinkSnapshot()
	if errors.Is(err, os.ErrPermission) {
		return portableSnapshot()
	}
	return s, err
}

func netlinkSnapshot() (State, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("netlink socket", err)
	}
	defer unix.Close(fd)
	buf := dumpBuffers.Get().(*[dumpBuffer]byte)
	defer dumpBuffers.Put(buf)

	var s snapshotter
	// A dump during which something changed is flagged as inconsistent and
	// taken again. The notification of the change brings us back here anyway,
	// so that giving up after a few does no harm.
	for range 3 {
		s = snapshotter{fd: fd, buf: buf[:]}
		if err := s.dump(unix.RTM_GETLINK, linkRequest(), s.addLink); err != nil {
			return nil, fmt.Errorf("netlink: list of interfaces: %w", err)
		}
		if err := s.dump(unix.RTM_GETADDR, make([]byte, unix.SizeofIfAddrmsg), s.addAddr); err != nil {
			return nil, fmt.Errorf("netlink: list of addresses: %w", err)
		}
		if !s.torn {
			break
		}
	}
	return s.state.normalize(), nil
}

// dumpBuffer holds any datagram of a dump: the kernel fills at most 32 KiB.
const dumpBuffer = 32 << 10

var dumpBuffers = sync.Pool{New: func() any { return new([dumpBuffer]byte) }}

// snapshotter collects a state over a netlink socket.
type snapshotter struct {
	fd    int
	buf   []byte
	seq   uint32
	state State
	torn  bool // a dump was not consistent
}

// errMalformed is returned for what a kernel would not send.
var errMalformed = errors.New("malformed message")

// linkRequest returns the body of a request for all links without their
// statistics, which would be most of the answer.
func linkRequest() []byte {
	const extMask = unix.IFLA_EXT_MASK
	const skipStats = 1 << 3 // RTEXT_FILTER_SKIP_STATS
	b := make([]byte, unix.SizeofIfInfomsg, unix.SizeofIfInfomsg+unix.SizeofRtAttr+4)
	b = native.AppendUint16(b, unix.SizeofRtAttr+4)
	b = native.AppendUint16(b, extMask)
	return native.AppendUint32(b, skipStats)
}

var native = binary.NativeEndian

// dump sends a request for everything of a kind and hands the body of each
// answer to add.
func (s *snapshotter) dump(kind uint16, body []byte, add func(body []byte) error) error {
	s.seq++
	req := make([]byte, 0, unix.SizeofNlMsghdr+len(body))
	req = native.AppendUint32(req, uint32(unix.SizeofNlMsghdr+len(body)))
	req = native.AppendUint16(req, kind)
	req = native.AppendUint16(req, unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	req = native.AppendUint32(req, s.seq)
	req = native.AppendUint32(req, 0) // to the kernel
	req = append(req, body...)
	if err := unix.Sendto(s.fd, req, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	for {
		n, from, err := unix.Recvfrom(s.fd, s.buf, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return os.NewSyscallError("recvfrom", err)
		}
		if from, ok := from.(*unix.SockaddrNetlink); !ok || from.Pid != 0 {
			continue // another process may write to our socket, too
		}
		done, err := s.read(s.buf[:n], add)
		if done || err != nil {
			return err
		}
	}
}

// read takes in one datagram of a dump and reports whether it was the last.
func (s *snapshotter) read(b []byte, add func(body []byte) error) (done bool, err error) {
	for len(b) >= unix.SizeofNlMsghdr {
		size := int(native.Uint32(b))
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return false, errMalformed
		}
		kind, flags, seq := native.Uint16(b[4:]), native.Uint16(b[6:]), native.Uint32(b[8:])
		body := b[unix.SizeofNlMsghdr:size]
		b = b[min(align(size), len(b)):]
		if seq != s.seq {
			continue
		}
		s.torn = s.torn || flags&unix.NLM_F_DUMP_INTR != 0
		switch kind {
		case unix.NLMSG_DONE, unix.NLMSG_ERROR:
			if len(body) >= 4 {
				if code := int32(native.Uint32(body)); code < 0 {
					return false, unix.Errno(-code)
				}
			}
			return true, nil
		case unix.RTM_NEWLINK, unix.RTM_NEWADDR:
			if err := add(body); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}

func (s *snapshotter) addLink(b []byte) error {
	if len(b) < unix.SizeofIfInfomsg {
		return errMalformed
	}
	i := Interface{Interface: net.Interface{
		Index: int(int32(native.Uint32(b[4:]))),
		Flags: linkFlags(native.Uint32(b[8:])),
	}}
	for kind, v := range attributes(b[unix.SizeofIfInfomsg:]) {
		switch {
		case kind == unix.IFLA_IFNAME:
			i.Name = string(bytes.TrimRight(v, "\x00"))
		case kind == unix.IFLA_MTU && len(v) >= 4:
			i.MTU = int(native.Uint32(v))
		case kind == unix.IFLA_ADDRESS && isHardware(v):
			i.HardwareAddr = bytes.Clone(v)
		}
	}
	s.state = append(s.state, i)
	return nil
}

// isHardware reports whether b is a hardware address as package net has it:
// not the all-zero one of loopback, nor the IP address of a tunnel's end.
func isHardware(b []byte) bool {
	return len(b) != net.IPv4len && len(b) != net.IPv6len && len(bytes.Trim(b, "\x00")) > 0
}

func (s *snapshotter) addAddr(b []byte) error {
	if len(b) < unix.SizeofIfAddrmsg {
		return errMalformed
	}
	bits, flags, index := int(b[1]), uint32(b[2]), int(native.Uint32(b[4:]))
	var addr, local netip.Addr
	for kind, v := range attributes(b[unix.SizeofIfAddrmsg:]) {
		switch {
		case kind == unix.IFA_ADDRESS:
			addr, _ = netip.AddrFromSlice(v)
		case kind == unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(v)
		case kind == unix.IFA_FLAGS && len(v) >= 4:
			flags = native.Uint32(v)
		}
	}
	if local.IsValid() {
		addr = local // and IFA_ADDRESS is the other end of a point-to-point link
	}
	if flags&unix.IFA_F_DADFAILED != 0 || flags&unix.IFA_F_TENTATIVE != 0 && flags&unix.IFA_F_OPTIMISTIC == 0 {
		return nil // cannot be bound to (yet)
	}
	p := netip.PrefixFrom(addr, bits)
	if !p.IsValid() {
		return nil
	}
	for i := range s.state {
		if s.state[i].Index == index {
			s.state[i].Prefixes = append(s.state[i].Prefixes, p)
			return nil
		}
	}
	s.torn = true // an address of an interface that came after the first dump
	return nil
}

// attributes yields the attributes in b (struct rtattr), as far as it is well
// formed.
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.SizeofRtAttr {
			size, kind := int(native.Uint16(b)), native.Uint16(b[2:])
			if size < unix.SizeofRtAttr || size > len(b) {
				return
			}
			if !yield(kind&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[unix.SizeofRtAttr:size]) {
				return
			}
			b = b[min(align(size), len(b)):]
		}
	}
}

// align rounds up to where the next message or attribute begins.
func align(n int) int { return (n + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1) }

func linkFlags(raw uint32) (f net.Flags) {
	for _, m := range []struct {
		raw  uint32
		flag net.Flags
	}{
		{unix.IFF_UP, net.FlagUp},
		{unix.IFF_RUNNING, net.FlagRunning},
		{unix.IFF_BROADCAST, net.FlagBroadcast},
		{unix.IFF_LOOPBACK, net.FlagLoopback},
		{unix.IFF_POINTOPOINT, net.FlagPointToPoint},
		{unix.IFF_MULTICAST, net.FlagMulticast},
	} {
		if raw&m.raw != 0 {
			f |= m.flag
		}
	}
	return f
}
