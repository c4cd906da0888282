//go:build linux || darwin || freebsd || openbsd || netbsd || dragonfly

package mdns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// receiveBuffer is asked for so that a burst of hundreds of announcements fits;
// the system may give less.
const receiveBuffer = 4 << 20

// controlSpace is room for the control messages asked for.
const controlSpace = 256

// sockets is a transport with one socket per family, on all addresses. Control
// messages tell and choose the interface. A family's is opened when there is an
// interface with addresses of it.
type sockets struct {
	port    uint16
	receive func(Packet)
	v4      *socket
	v6      *socket
	readers sync.WaitGroup
}

// A socket is that of one family.
type socket struct {
	conn   *net.UDPConn
	p4     *ipv4.PacketConn // one of the two is nil
	p6     *ipv6.PacketConn
	groups bool                   // receives multicast
	joined map[int]*net.Interface // by index
}

// openSockets opens the socket of one family, to tell early whether the port can be
// had. The other follows with Join.
func openSockets(port uint16, receive func(Packet)) (Transport, error) {
	s := &sockets{port: port, receive: receive}
	if err4 := s.open("udp4", &s.v4); err4 != nil {
		if err6 := s.open("udp6", &s.v6); err6 != nil {
			return nil, errors.Join(err4, err6)
		}
	}
	return s, nil
}

// open opens the socket of a family, if it is not open, as k.
func (s *sockets) open(network string, k **socket) (err error) {
	if *k != nil {
		return nil
	}
	if *k, err = openSocket(network, s.port); err == nil {
		opened := *k
		s.readers.Go(func() { s.read(opened) })
	}
	return err
}

func openSocket(network string, port uint16) (*socket, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if cerr := c.Control(func(fd uintptr) { err = socketOptions(int(fd), network == "udp6", port != 0) }); cerr != nil {
			return cerr
		}
		return err
	}}
	pc, err := lc.ListenPacket(context.Background(), network, fmt.Sprintf(":%d", port))
	if err != nil {
		return nil, err
	}
	k := &socket{conn: pc.(*net.UDPConn), groups: port != 0, joined: map[int]*net.Interface{}}
	_ = k.conn.SetReadBuffer(receiveBuffer) // a smaller one works too
	if network == "udp4" {
		k.p4 = ipv4.NewPacketConn(k.conn)
		err = errors.Join(
			k.p4.SetControlMessage(ipv4.FlagInterface|ipv4.FlagDst, true),
			k.p4.SetMulticastTTL(255), // RFC 6762, 11
			k.p4.SetTTL(255),
			k.p4.SetMulticastLoopback(true),
		)
	} else {
		k.p6 = ipv6.NewPacketConn(k.conn)
		err = errors.Join(
			k.p6.SetControlMessage(ipv6.FlagInterface|ipv6.FlagDst, true),
			k.p6.SetMulticastHopLimit(255),
			k.p6.SetHopLimit(255),
			k.p6.SetMulticastLoopback(true),
		)
	}
	if err != nil {
		k.conn.Close()
		return nil, fmt.Errorf("%s port %d: %w", network, port, err)
	}
	return k, nil
}

// sharePort lets other responders of the machine have port 5353 too. Both
// options are needed to live with those that set only one (RFC 6762, 15).
func sharePort(fd int) error {
	return errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1),
	)
}

func (s *sockets) Join(ifs []Interface) error {
	var errs []error
	for _, family := range []struct {
		network string
		k       **socket
		v6      bool
	}{{"udp4", &s.v4, false}, {"udp6", &s.v6, true}} {
		offered := slices.ContainsFunc(ifs, func(i Interface) bool { return slices.Contains(i.links(), link{i.Index, family.v6}) })
		if offered {
			err := s.open(family.network, family.k)
			// Any other error says that the machine does not have the family.
			if errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM) {
				errs = append(errs, err)
			}
		}
		if k := *family.k; k != nil && k.groups {
			errs = append(errs, k.join(ifs))
		}
	}
	return errors.Join(errs...)
}

func (k *socket) join(ifs []Interface) error {
	var errs []error
	wanted := map[int]bool{}
	for _, i := range ifs {
		for _, l := range i.links() {
			if l.v6 != (k.p6 != nil) {
				continue
			}
			wanted[i.Index] = true
			if k.joined[i.Index] != nil {
				continue
			}
			ifi := i.Interface
			if err := k.member(&ifi, true); err != nil && !errors.Is(err, syscall.EADDRINUSE) {
				errs = append(errs, fmt.Errorf("join %v on %s: %w", l.group().Addr(), i.Name, err))
				continue
			}
			k.joined[i.Index] = &ifi
		}
	}
	for index, ifi := range k.joined {
		if !wanted[index] {
			_ = k.member(ifi, false) // it may be gone, and the membership with it
			delete(k.joined, index)
		}
	}
	return errors.Join(errs...)
}

func (k *socket) member(ifi *net.Interface, join bool) error {
	switch {
	case k.p4 != nil && join:
		return k.p4.JoinGroup(ifi, &net.UDPAddr{IP: group4.Addr().AsSlice()})
	case k.p4 != nil:
		return k.p4.LeaveGroup(ifi, &net.UDPAddr{IP: group4.Addr().AsSlice()})
	case join:
		return k.p6.JoinGroup(ifi, &net.UDPAddr{IP: group6.Addr().AsSlice()})
	default:
		return k.p6.LeaveGroup(ifi, &net.UDPAddr{IP: group6.Addr().AsSlice()})
	}
}

func (s *sockets) Send(b []byte, via Interface, to netip.AddrPort) error {
	k := s.v6
	if to.Addr().Is4() {
		k = s.v4
	}
	if k == nil {
		return errors.ErrUnsupported
	}
	var oob []byte
	if k.p4 != nil {
		var err error
		if oob, err = chooseInterface(k.p4, via, to.Addr()); err != nil {
			return err
		}
	} else {
		// The index says which link, so the name of the zone is not needed.
		oob = (&ipv6.ControlMessage{IfIndex: via.Index}).Marshal()
		to = netip.AddrPortFrom(to.Addr().WithZone(""), to.Port())
	}
	_, _, err := k.conn.WriteMsgUDPAddrPort(b, oob, to)
	return err
}

// loopbackSource returns the address that multicast on loopback is sent from: it
// would be 0.0.0.0 otherwise.
func loopbackSource(via Interface) netip.Addr {
	for _, p := range via.Prefixes {
		if p.Addr().Is4() && via.Flags&net.FlagLoopback != 0 {
			return p.Addr()
		}
	}
	return netip.Addr{}
}

// read hands over what comes in and does nothing else, so that the socket's
// buffer stays empty.
func (s *sockets) read(k *socket) {
	buf := make([]byte, maxReceive+1)
	oob := make([]byte, controlSpace)
	failed := 0
	for {
		n, noob, _, src, err := k.conn.ReadMsgUDPAddrPort(buf, oob)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Mostly echoes of packets that could not be delivered. An
			// error that stays is no reason to spin.
			if failed++; failed > 100 {
				time.Sleep(100 * time.Millisecond)
			}
			continue
		}
		failed = 0
		if n > maxReceive {
			continue
		}
		p := Packet{Data: buf[:n], Src: netip.AddrPortFrom(src.Addr().Unmap(), src.Port())}
		if k.p4 != nil {
			var cm ipv4.ControlMessage
			if cm.Parse(oob[:noob]) == nil {
				p.Index, p.Multicast = cm.IfIndex, cm.Dst.IsMulticast()
			}
		} else {
			var cm ipv6.ControlMessage
			if cm.Parse(oob[:noob]) == nil {
				p.Index, p.Multicast = cm.IfIndex, cm.Dst.IsMulticast()
			}
		}
		s.receive(p)
	}
}

func (s *sockets) Close() error {
	var errs []error
	for _, k := range []*socket{s.v4, s.v6} {
		if k != nil {
			errs = append(errs, k.conn.Close())
		}
	}
	s.readers.Wait()
	return errors.Join(errs...)
}
