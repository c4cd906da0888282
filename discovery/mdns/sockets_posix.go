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
//
// There are more of a family where one has no room for all memberships: on Linux, it
// has for 20 of IPv4 (igmp_max_memberships), and machines with many bridges of
// containers have more interfaces. All hear, the first one sends.
type sockets struct {
	port    uint16
	receive func(Packet)
	v4, v6  []*socket
	readers sync.WaitGroup
}

// A socket is one of a family.
type socket struct {
	conn   *net.UDPConn
	p4     *ipv4.PacketConn // one of the two is nil
	p6     *ipv6.PacketConn
	joined map[int]*net.Interface // by index
}

// openSockets opens the socket of one family, to tell early whether the port can be
// had. The other follows with Join.
func openSockets(port uint16, receive func(Packet)) (Transport, error) {
	s := &sockets{port: port, receive: receive}
	if err4 := s.open("udp4", &s.v4, nil); err4 != nil {
		if err6 := s.open("udp6", &s.v6, nil); err6 != nil {
			return nil, errors.Join(err4, err6)
		}
	}
	return s, nil
}

// open opens one more socket of a family, for the group on an interface if that is not
// nil.
func (s *sockets) open(network string, ks *[]*socket, group *net.Interface) error {
	k, err := openSocket(network, s.port)
	if err != nil {
		return err
	}
	if group != nil {
		if err := k.join(group); err != nil {
			k.conn.Close()
			return err
		}
	}
	*ks = append(*ks, k)
	s.readers.Go(func() { s.read(k) })
	return nil
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
	k := &socket{conn: pc.(*net.UDPConn), joined: map[int]*net.Interface{}}
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
		ks      *[]*socket
		v6      bool
	}{{"udp4", &s.v4, false}, {"udp6", &s.v6, true}} {
		offered := slices.ContainsFunc(ifs, func(i Interface) bool { return slices.Contains(i.links(), link{i.Index, family.v6}) })
		if offered && len(*family.ks) == 0 {
			err := s.open(family.network, family.ks, nil)
			// Any other error says that the machine does not have the family.
			if errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM) {
				errs = append(errs, err)
			}
		}
		if s.port != 0 && len(*family.ks) > 0 {
			errs = append(errs, s.joinGroup(family.network, family.ks, family.v6, ifs))
		}
	}
	return errors.Join(errs...)
}

// joinGroup has the sockets of a family hear its group on some interfaces and no others.
func (s *sockets) joinGroup(network string, ks *[]*socket, v6 bool, ifs []Interface) error {
	wanted := map[int]bool{}
	for _, i := range ifs {
		wanted[i.Index] = slices.Contains(i.links(), link{i.Index, v6})
	}
	for _, k := range *ks {
		k.leave(wanted) // first, as it makes room
	}
	var errs []error
	for _, i := range ifs {
		joined := slices.ContainsFunc(*ks, func(k *socket) bool { return k.joined[i.Index] != nil })
		if !wanted[i.Index] || joined {
			continue
		}
		if err := s.joinOn(network, ks, &i.Interface); err != nil {
			errs = append(errs, fmt.Errorf("join %v on %s: %w", link{i.Index, v6}.group().Addr(), i.Name, err))
		}
	}
	return errors.Join(errs...)
}

// joinOn joins the group on an interface with a socket that has room for it. It is most
// likely the last one.
func (s *sockets) joinOn(network string, ks *[]*socket, ifi *net.Interface) error {
	for _, k := range slices.Backward(*ks) {
		if err := k.join(ifi); !errors.Is(err, syscall.ENOBUFS) {
			return err
		}
	}
	return s.open(network, ks, ifi)
}

func (k *socket) join(ifi *net.Interface) error {
	if err := k.member(ifi, true); err != nil && !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	k.joined[ifi.Index] = ifi
	return nil
}

// leave leaves the group on all interfaces but the wanted ones.
func (k *socket) leave(wanted map[int]bool) {
	for index, ifi := range k.joined {
		if !wanted[index] {
			_ = k.member(ifi, false) // it may be gone, and the membership with it
			delete(k.joined, index)
		}
	}
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
	ks := s.v6
	if to.Addr().Is4() {
		ks = s.v4
	}
	if len(ks) == 0 {
		return errors.ErrUnsupported
	}
	k := ks[0]
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
	for _, k := range slices.Concat(s.v4, s.v6) {
		errs = append(errs, k.conn.Close())
	}
	s.readers.Wait()
	return errors.Join(errs...)
}
