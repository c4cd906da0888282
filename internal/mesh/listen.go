package mesh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
)

// Listen listens on every address that hostport stands for, with one port. A host
// name may stand for several, of which one has to be this machine's.
func Listen(ctx context.Context, hostport string) ([]net.Listener, error) {
	host, portText, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, fmt.Errorf("listen address %q: %w (want \"host:port\", such as \":0\")", hostport, err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("listen address %q: the port has to be a number from 0 to 65535", hostport)
	}
	if host == "" {
		ln, err := listen(ctx, net.JoinHostPort("", portText))
		if err != nil {
			return nil, err
		}
		return []net.Listener{ln}, nil
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("listen address %q: %w", hostport, err)
	}
	for range portTries {
		var listeners []net.Listener
		if listeners, err = listenAll(ctx, ips, uint16(port)); err == nil {
			return listeners, nil
		}
		if port != 0 || !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return nil, err
}

// portTries is how often another port is tried, when the one that the system chose
// for the first address is taken at the next.
const portTries = 8

// listenAll listens on all of the addresses that are this machine's, with one port.
func listenAll(ctx context.Context, ips []netip.Addr, port uint16) (listeners []net.Listener, err error) {
	var absent error
	tried := make(map[netip.Addr]bool)
	for _, ip := range ips {
		if ip = ip.Unmap(); tried[ip] {
			continue
		}
		tried[ip] = true
		ln, err := listen(ctx, netip.AddrPortFrom(ip, port).String())
		if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
			absent = errors.Join(absent, err)
			continue
		}
		if err != nil {
			for _, ln := range listeners {
				ln.Close()
			}
			return nil, err
		}
		listeners = append(listeners, ln)
		port = endpoint(ln.Addr()).Port() // the same for all
	}
	if len(listeners) == 0 {
		return nil, absent
	}
	return listeners, nil
}

// listen listens for strangers. Keep-alive is set for each connection when its
// purpose is known; a link has PINGs instead. Multipath TCP, which Go would use where
// it can, lacks some socket options.
func listen(ctx context.Context, addr string) (net.Listener, error) {
	lc := &net.ListenConfig{KeepAlive: -1, Control: deferAccept}
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err == nil {
		answerFirst(ln)
	}
	return ln, err
}

// Dial opens a TCP connection as Listen accepts them.
func Dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{KeepAlive: -1, Control: dialControl(addr)}
	d.SetMultipathTCP(false)
	return d.DialContext(ctx, "tcp", addr.String())
}

// Resolve returns the addresses that "host:port" stands for.
func Resolve(ctx context.Context, hostport string) ([]netip.AddrPort, error) {
	host, portText, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return nil, fmt.Errorf("address %q: the port has to be a number from 1 to 65535", hostport)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	addrs := make([]netip.AddrPort, 0, len(ips))
	for _, ip := range ips {
		addrs = append(addrs, netip.AddrPortFrom(ip.Unmap(), uint16(port)))
	}
	return addrs, nil
}
