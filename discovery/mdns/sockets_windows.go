package mdns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/windows"
)

const receiveBuffer = 4 << 20

// sockets is a transport with one socket per interface and family: Go has no
// control messages on Windows that would tell interfaces apart.
type sockets struct {
	port    uint16
	receive func(Packet)
	open    map[link]*net.UDPConn
	readers sync.WaitGroup
}

// openSockets opens a socket that is closed at once, to tell early whether the
// port can be had. The others follow with Join.
func openSockets(port uint16, receive func(Packet)) (Transport, error) {
	s := &sockets{port: port, receive: receive, open: map[link]*net.UDPConn{}}
	c, err := s.listen("udp4")
	if err != nil {
		return nil, err
	}
	return s, c.Close()
}

func (s *sockets) listen(network string) (*net.UDPConn, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		if s.port == 0 {
			return nil
		}
		var err error
		if cerr := c.Control(func(fd uintptr) {
			err = windows.SetsockoptInt(windows.Handle(fd), windows.SOL_SOCKET, windows.SO_REUSEADDR, 1)
		}); cerr != nil {
			return cerr
		}
		return err
	}}
	pc, err := lc.ListenPacket(context.Background(), network, fmt.Sprintf(":%d", s.port))
	if err != nil {
		return nil, err
	}
	return pc.(*net.UDPConn), nil
}

func (s *sockets) Join(ifs []Interface) error {
	var errs []error
	wanted := map[link]bool{}
	for _, i := range ifs {
		for _, l := range i.links() {
			wanted[l] = true
			if s.open[l] != nil {
				continue
			}
			c, err := s.openOn(l, i.Interface)
			if err != nil {
				errs = append(errs, fmt.Errorf("join %v on %s: %w", l.group().Addr(), i.Name, err))
				continue
			}
			s.open[l] = c
			s.readers.Go(func() { s.read(c, l) })
		}
	}
	for l, c := range s.open {
		if !wanted[l] {
			delete(s.open, l)
			c.Close()
		}
	}
	return errors.Join(errs...)
}

func (s *sockets) openOn(l link, ifi net.Interface) (*net.UDPConn, error) {
	network := "udp4"
	if l.v6 {
		network = "udp6"
	}
	c, err := s.listen(network)
	if err != nil {
		return nil, err
	}
	_ = c.SetReadBuffer(receiveBuffer) // a smaller one works too
	if l.v6 {
		p := ipv6.NewPacketConn(c)
		err = errors.Join(p.SetMulticastInterface(&ifi), p.SetMulticastHopLimit(255), p.SetHopLimit(255), p.SetMulticastLoopback(true))
		if err == nil && s.port != 0 {
			err = p.JoinGroup(&ifi, &net.UDPAddr{IP: group6.Addr().AsSlice()})
		}
	} else {
		p := ipv4.NewPacketConn(c)
		err = errors.Join(p.SetMulticastInterface(&ifi), p.SetMulticastTTL(255), p.SetTTL(255), p.SetMulticastLoopback(true))
		if err == nil && s.port != 0 {
			err = p.JoinGroup(&ifi, &net.UDPAddr{IP: group4.Addr().AsSlice()})
		}
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (s *sockets) Send(b []byte, via Interface, to netip.AddrPort) error {
	c := s.open[link{via.Index, to.Addr().Is6()}]
	if c == nil {
		return errors.ErrUnsupported
	}
	if to.Addr().Is6() {
		to = netip.AddrPortFrom(to.Addr().WithZone(via.Name), to.Port())
	}
	_, err := c.WriteToUDPAddrPort(b, to)
	return err
}

// read hands over what comes in. Where a packet was sent to is not known here, so
// all are taken for multicast.
func (s *sockets) read(c *net.UDPConn, l link) {
	buf := make([]byte, maxReceive+1)
	failed := 0
	for {
		n, src, err := c.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			if failed++; failed > 100 {
				time.Sleep(100 * time.Millisecond)
			}
			continue
		}
		failed = 0
		if n <= maxReceive {
			s.receive(Packet{
				Data: buf[:n], Index: l.index, Multicast: true,
				Src: netip.AddrPortFrom(src.Addr().Unmap(), src.Port()),
			})
		}
	}
}

func (s *sockets) Close() error {
	var errs []error
	for _, c := range s.open {
		errs = append(errs, c.Close())
	}
	s.readers.Wait()
	return errors.Join(errs...)
}
