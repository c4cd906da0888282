//go:build linux

package labtest

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"example.com/tcpnet/internal/lab"
	"golang.org/x/net/dns/dnsmessage"
)

// A packet is one of mDNS as it was on the wire.
type packet struct {
	at               time.Time
	src, dst         netip.Addr
	srcPort, dstPort uint16
	ttl              byte
	payload          []byte
	message          dnsmessage.Message
}

// packets decodes captured frames of mDNS.
func packets(t *testing.T, frames []lab.Frame) (ps []packet) {
	t.Helper()
	for _, f := range frames {
		p := packet{at: f.Time, payload: f.Payload()}
		if p.payload == nil {
			continue
		}
		ip := f.Data[14:]
		var udp []byte
		if ip[0]>>4 == 4 {
			p.src, p.dst, p.ttl = netip.AddrFrom4([4]byte(ip[12:])), netip.AddrFrom4([4]byte(ip[16:])), ip[8]
			udp = ip[int(ip[0]&15)*4:]
		} else {
			p.src, p.dst, p.ttl = netip.AddrFrom16([16]byte(ip[8:])), netip.AddrFrom16([16]byte(ip[24:])), ip[7]
			udp = ip[40:]
		}
		p.srcPort, p.dstPort = binary.BigEndian.Uint16(udp), binary.BigEndian.Uint16(udp[2:])
		if err := p.message.Unpack(p.payload); err != nil {
			t.Errorf("a packet of %v cannot be decoded: %v: %x", p.src, err, p.payload)
			continue
		}
		ps = append(ps, p)
	}
	return ps
}

// records returns all resource records.
func (p *packet) records() []dnsmessage.Resource {
	rs := append([]dnsmessage.Resource(nil), p.message.Answers...)
	rs = append(rs, p.message.Authorities...)
	return append(rs, p.message.Additionals...)
}

// addrs returns the addresses that are told.
func (p *packet) addrs() (as []netip.Addr) {
	for _, r := range p.records() {
		switch b := r.Body.(type) {
		case *dnsmessage.AResource:
			as = append(as, netip.AddrFrom4(b.A))
		case *dnsmessage.AAAAResource:
			as = append(as, netip.AddrFrom16(b.AAAA))
		}
	}
	return as
}

// goodbye reports whether records are withdrawn.
func (p *packet) goodbye() bool {
	for _, r := range p.message.Answers {
		if r.Header.TTL == 0 {
			return true
		}
	}
	return false
}

// dialFrom connects from a host. Zones are numbers there: package net remembers
// the names of interfaces without regard for namespaces.
func dialFrom(h *lab.Host, to netip.AddrPort, patience time.Duration) (c net.Conn, err error) {
	if to.Addr().IsLinkLocalUnicast() {
		to = netip.AddrPortFrom(to.Addr().WithZone("2"), to.Port())
	}
	err = h.Do(func() error {
		c, err = net.DialTimeout("tcp", to.String(), patience)
		return err
	})
	return c, err
}

// listenOn accepts connections on a host until the end of the test, and has serve
// look after each.
func listenOn(t *testing.T, h *lab.Host, addr string, serve func(net.Conn)) netip.AddrPort {
	t.Helper()
	var ln net.Listener
	if err := h.Do(func() (err error) {
		ln, err = net.Listen("tcp", addr)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return addrPort(ln.Addr())
}
