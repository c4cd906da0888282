//go:build linux

package labtest

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/internal/lab"
)

// One particular address is all that is announced and listened on, and mDNS is
// spoken on its interface alone.
func TestOneParticularAddress(t *testing.T) {
	l := newLab(t)
	one, two := l.Switch("one"), l.Switch("two")
	a := l.Host("a", one, two, lab.NoDAD)
	a.IP("address add 10.1.77.77/16 dev eth0") // the same interface, another address
	b := l.Host("b", one, lab.NoDAD)
	on1, on2 := one.Capture(lab.UDP(5353)), two.Capture(lab.UDP(5353))
	c := newCluster(t)
	x := c.start(a, listening(a.Addr().String()+":0")).ready()
	y := c.start(b)
	c.meshed(patience, x, y)
	if len(x.addrs) != 1 || x.addrs[0].Addr() != a.Addr() {
		t.Errorf("Addrs are %v, want %v alone", x.addrs, a.Addr())
	}
	for _, at := range []netip.Addr{netip.MustParseAddr("10.1.77.77"), a.LinkLocal()} {
		if err := reach(b, at, x.port()); err == nil {
			t.Errorf("the node listens on %v", at)
		}
	}
	time.Sleep(1500 * time.Millisecond) // the second announcement
	var announced []netip.Addr
	for _, p := range packets(t, on1.Frames()) {
		if p.src == a.Addr() || p.src == a.LinkLocal() {
			announced = append(announced, p.addrs()...)
		}
	}
	if len(announced) == 0 {
		t.Fatal("nothing was announced")
	}
	for _, at := range announced {
		if at != a.Addr() {
			t.Errorf("%v was announced", at)
		}
	}
	if f := on2.Frames(); len(f) > 0 {
		t.Errorf("%d mDNS packets on the other interface", len(f))
	}
}

// Nodes on loopback find one another and send nothing that leaves the machine.
func TestNodesOnLoopbackStayOnTheMachine(t *testing.T) {
	l := newLab(t)
	lan := l.Switch("lan")
	h := l.Host("h", lan, lab.NoDAD)
	outside := l.Host("outside", lan, lab.NoDAD)
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0", "localhost:0"} {
		t.Run(addr, func(t *testing.T) {
			c := newCluster(t)
			capture := lan.Capture(anyTCPNet)
			a, b := c.start(h, listening(addr)), c.start(h, listening(addr))
			d := c.start(h) // listens on all addresses and is on loopback, too
			c.meshed(patience, a, b, d)
			far := c.start(outside)
			c.meshed(patience, d, far)
			if !a.to(b).remote.Addr().IsLoopback() || !a.to(d).remote.Addr().IsLoopback() {
				t.Errorf("connections on loopback: %v, %v", a.to(b).remote, a.to(d).remote)
			}
			if err := reach(outside, h.Addr(), a.ready().port()); err == nil {
				t.Error("a node on loopback can be reached from outside")
			}
			for _, p := range packets(t, capture.Frames()) {
				for _, m := range []*member{a, b} {
					if p.message.Response && strings.Contains(strings.ToUpper(string(p.payload)), string(m.id)) {
						t.Errorf("%v is announced on the wire by %v: %s", m, p.src, p.message.GoString())
					}
				}
				if slices.ContainsFunc(p.addrs(), netip.Addr.IsLoopback) {
					t.Errorf("a loopback address is told on the wire by %v", p.src)
				}
			}
			for _, m := range []*member{a, b, d, far} {
				m.process.Kill()
			}
		})
	}
}

// When all nodes of a machine are on loopback, not one frame of theirs leaves it.
func TestLoopbackIsSilentOnTheWire(t *testing.T) {
	l := newLab(t)
	lan := l.Switch("lan")
	h := l.Host("h", lan, lab.NoDAD)
	capture := lan.Capture(anyTCPNet)
	c := newCluster(t)
	ms := []*member{c.start(h, listening("127.0.0.1:0")), c.start(h, listening("127.0.0.1:0")), c.start(h, listening("localhost:0"))}
	c.meshed(patience, ms...)
	ms[0].shutdown()
	if e := c.gone(patience, ms[1], ms[0]); e.Reason != "left" {
		t.Errorf("reason %q", e.Reason)
	}
	time.Sleep(time.Second)
	if f := capture.Frames(); len(f) > 0 {
		t.Errorf("%d frames left the machine; the first: %x", len(f), f[0].Data)
	}
}

// anyTCPNet keeps mDNS and TCP.
func anyTCPNet(frame []byte) bool {
	return lab.UDP(5353)(frame) || isTCP(frame)
}

func isTCP(f []byte) bool {
	if len(f) < 54 {
		return false
	}
	switch binary.BigEndian.Uint16(f[12:]) {
	case 0x0800:
		return f[14+9] == 6
	case 0x86dd:
		return f[14+6] == 6
	}
	return false
}

func TestIPv6LinkLocalOnly(t *testing.T) {
	for name, opts := range map[string][]lab.Option{
		"at once":                           {lab.NoIPv4, lab.NoDAD},
		"after duplicate address detection": {lab.NoIPv4},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			hs := hosts(l, 4, append(opts, l.Switch("lan"))...)
			c := newCluster(t)
			ms := c.startOn(hs)
			last := c.meshed(patience, ms...)
			t.Logf("connected %v after the last Join", last.Sub(ms[3].all(ready)[0].Time).Round(time.Millisecond))
			if r := ms[0].to(ms[1]).remote.Addr(); !r.IsLinkLocalUnicast() || r.Zone() == "" {
				t.Errorf("connected by %v", r)
			}
		})
	}
}

// A host on two switches is connected with the hosts of both, and the hosts of
// different switches, which cannot reach one another, are not.
func TestTwoInterfaces(t *testing.T) {
	l := newLab(t)
	one, two := l.Switch("one"), l.Switch("two")
	c := newCluster(t)
	a := c.start(l.Host("a", one, lab.NoDAD))
	both := c.start(l.Host("both", one, two, lab.NoDAD))
	b := c.start(l.Host("b", two, lab.NoDAD))
	also := c.start(l.Host("also", one, two, lab.NoDAD))
	c.meshed(patience, a, both, also)
	c.meshed(patience, b, both, also)
	time.Sleep(time.Second)
	for _, m := range []*member{a, b, both, also} {
		if n := len(m.all(left)); n > 0 {
			t.Errorf("%v has lost %d connections", m, n)
		}
	}
	// Nothing hides: both know of the other, and that it is not reached.
	a.status(func(s *tcpnet.Status) error {
		for _, cand := range s.Candidates {
			if cand.ID == b.id && cand.Error != "" {
				return nil
			}
		}
		return fmt.Errorf("does not say why %v is missing: %+v", b, s.Candidates)
	})
	// When the interface in use goes, the other takes over.
	for range 2 {
		used := both.to(also).local.Addr().WithZone("")
		for _, p := range both.host.Ports() {
			if used != p.Addr && used != p.LinkLocal {
				continue
			}
			begin := time.Now()
			p.Cut(lab.Down)
			c.await(patience, func() error {
				if x := both.live[also.id]; x == nil || x.local.Addr().WithZone("") == used {
					return fmt.Errorf("%v and %v are not connected over the other interface", both, also)
				}
				return connected(both, also)
			})
			t.Logf("without %s connected again after %v", p.Name, time.Since(begin).Round(time.Millisecond))
			p.Heal()
			break
		}
	}
}

// Docker gives every host the same address 172.17.0.1, which leads to the host
// itself.
func TestTheSameDockerAddressOnEveryHost(t *testing.T) {
	l := newLab(t)
	hs := hosts(l, 4, l.Switch("lan"), lab.NoDAD)
	for _, h := range hs {
		h.Docker()
	}
	c := newCluster(t)
	// With one port for all, whoever dials 172.17.0.1 reaches a node: itself.
	ms := c.startOn(hs, listening(":4000"))
	last := c.meshed(patience, ms...)
	t.Logf("connected %v after the last Join", last.Sub(ms[3].all(ready)[0].Time).Round(time.Millisecond))
	for _, a := range ms {
		for _, b := range ms {
			if a != b && a.to(b).remote.Addr() == netip.MustParseAddr("172.17.0.1") {
				t.Errorf("%v is connected with %v by an address of its own", a, b)
			}
		}
	}
}

// Config.Interfaces keeps a node off an interface: it announces nothing there, and
// takes nobody who comes that way.
func TestChosenInterfaces(t *testing.T) {
	l := newLab(t)
	one, two := l.Switch("one"), l.Switch("two")
	capture := two.Capture(lab.UDP(5353))
	a := l.Host("a", one, two, lab.NoDAD)
	b, d := l.Host("b", one, lab.NoDAD), l.Host("d", two, lab.NoDAD)
	c := newCluster(t)
	x := c.start(a, using("lo", "eth0"), listening(":4000")).ready()
	y := c.start(b)
	c.meshed(patience, x, y)
	other := a.Ports()[1].Addr
	z := c.start(d, seeded(netip.AddrPortFrom(other, 4000).String())).ready()
	time.Sleep(2 * time.Second)
	if n := len(z.all(joined)); n > 0 {
		t.Errorf("connected over an interface that was not chosen")
	}
	for _, p := range packets(t, capture.Frames()) {
		if p.src == other || p.src == a.Ports()[1].LinkLocal {
			t.Errorf("mDNS is sent on an interface that was not chosen: %x", p.payload)
		}
	}
	for _, at := range x.inspect().Status.Addrs {
		if at.Addr().WithZone("") == other || at.Addr().WithZone("") == a.Ports()[1].LinkLocal {
			t.Errorf("Addrs has %v", at)
		}
	}
}

// reach connects to a port, and closes the connection again.
func reach(from *lab.Host, to netip.Addr, port uint16) error {
	c, err := dialFrom(from, netip.AddrPortFrom(to, port), time.Second)
	if err == nil {
		c.Close()
	}
	return err
}
