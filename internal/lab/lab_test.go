//go:build linux

package lab_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/tcpnet/internal/lab"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(victimMarker) != "" {
		victim()
	}
	goleak.VerifyTestMain(m)
}

func newLab(t *testing.T) *lab.Lab {
	t.Helper()
	lab.Require(t)
	return lab.New(t)
}

// check ends the test unless err is nil.
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// on returns an address with the zone of the hosts' first interface, if it
// needs one. Zones are numbers here, as package net remembers names without
// regard for namespaces; eth0 is the second interface of every host.
func on(a netip.Addr, port uint16) netip.AddrPort {
	if a.IsLinkLocalUnicast() {
		a = a.WithZone("2")
	}
	return netip.AddrPortFrom(a, port)
}

// echo has the host answer UDP datagrams to port 7 with themselves.
func echo(t *testing.T, h *lab.Host) {
	t.Helper()
	var c *net.UDPConn
	check(t, h.Do(func() (err error) {
		c, err = net.ListenUDP("udp", &net.UDPAddr{Port: 7})
		return err
	}))
	done := make(chan struct{})
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	go func() {
		defer close(done)
		buf := make([]byte, 2048)
		for {
			n, from, err := c.ReadFromUDPAddrPort(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				c.WriteToUDPAddrPort(buf[:n], from)
			}
		}
	}()
}

// Patience with an answer that should come. ARP repeats a request that got lost
// after a second, which these would not wait for.
const (
	brief = 200 * time.Millisecond
	long  = 900 * time.Millisecond
)

// ping reports whether a datagram to the echo at addr comes back.
func ping(t *testing.T, from *lab.Host, addr netip.Addr, patience time.Duration) bool {
	t.Helper()
	ok := false
	check(t, from.Do(func() error {
		c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(on(addr, 7)))
		if err != nil {
			return nil // no route: not reached
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		c.Write([]byte("ping"))
		n, err := c.Read(make([]byte, 10))
		ok = err == nil && n == 4
		return nil
	}))
	return ok
}

// reaches waits until from reaches addr, which takes the kernel a moment after
// it found it gone.
func reaches(t *testing.T, from *lab.Host, addr netip.Addr) {
	t.Helper()
	for end := time.Now().Add(6 * time.Second); time.Now().Before(end); {
		if ping(t, from, addr, brief) {
			return
		}
	}
	t.Errorf("%s does not reach %v", from.Name, addr)
}

func cutOff(t *testing.T, from *lab.Host, addr netip.Addr) {
	t.Helper()
	for range 2 { // the first may have been lost with a question for the hardware address
		if ping(t, from, addr, brief) {
			t.Errorf("%s reaches %v", from.Name, addr)
		}
	}
}

// interfaces returns the host's interfaces and their addresses.
func interfaces(t *testing.T, h *lab.Host) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	check(t, h.Do(func() error {
		interfaces, err := net.Interfaces()
		if err != nil {
			return err
		}
		for _, i := range interfaces {
			addrs, err := i.Addrs()
			if err != nil {
				return err
			}
			all[i.Name] = nil
			for _, a := range addrs {
				all[i.Name] = append(all[i.Name], a.String())
			}
		}
		return nil
	}))
	return all
}

func flags(t *testing.T, h *lab.Host, name string) (f net.Flags) {
	t.Helper()
	check(t, h.Do(func() error {
		i, err := net.InterfaceByName(name)
		if err == nil {
			f = i.Flags
		}
		return err
	}))
	return f
}

// dial connects to port 80 of addr over TCP.
func dial(from *lab.Host, addr netip.Addr) error {
	return from.Do(func() error {
		c, err := net.DialTimeout("tcp", on(addr, 80).String(), 300*time.Millisecond)
		if err == nil {
			c.Close()
		}
		return err
	})
}

// listen has the host accept on TCP port 80.
func listen(t *testing.T, h *lab.Host) {
	t.Helper()
	var l net.Listener
	check(t, h.Do(func() (err error) {
		l, err = net.Listen("tcp", ":80")
		return err
	}))
	t.Cleanup(func() { l.Close() })
}

func TestHosts(t *testing.T) {
	l := newLab(t)
	lan := l.Switch("lan")
	a, b := l.Host("a", lan, lab.NoDAD), l.Host("b", lan, lab.NoDAD)
	listen(t, b)
	for _, to := range []netip.Addr{b.Addr(), b.LinkLocal()} {
		if err := dial(a, to); err != nil {
			t.Errorf("from a to b: %v", err)
		}
	}
	want := []string{a.Addr().String() + "/16", a.LinkLocal().String() + "/64"}
	all := interfaces(t, a)
	if len(all) != 2 || !slices.Equal(all["eth0"], want) || len(all["lo"]) != 2 {
		t.Errorf("interfaces of a: %v; want lo and eth0 with %v", all, want)
	}
	var here []net.Interface
	check(t, func() (err error) { here, err = net.Interfaces(); return err }())
	for _, i := range here {
		if strings.HasPrefix(i.Name, "eth0@") || i.Name == "br1" || i.Name == "s1p1" {
			t.Errorf("%s is outside of the lab", i.Name)
		}
	}
}

// No frame is lost to a host that has only just been made.
func TestHostsAreUpAtOnce(t *testing.T) {
	l := newLab(t)
	lan := l.Switch("lan")
	a := l.Host("a", lan, lab.NoDAD)
	for i := range 40 {
		h := l.Host(fmt.Sprint("h", i), lan, lab.NoDAD)
		echo(t, h)
		if !ping(t, a, h.Addr(), long) || !ping(t, a, h.LinkLocal(), long) {
			t.Fatalf("a does not reach %s", h.Name)
		}
	}
}

func TestDuplicateAddressDetection(t *testing.T) {
	l := newLab(t)
	lan := l.Switch("lan")
	bind := func(h *lab.Host) error {
		return h.Do(func() error {
			c, err := net.Listen("tcp", on(h.LinkLocal(), 80).String())
			if err == nil {
				c.Close()
			}
			return err
		})
	}
	slow, fast := l.Host("slow", lan), l.Host("fast", lan, lab.NoDAD)
	if err := bind(fast); err != nil {
		t.Errorf("with NoDAD: %v", err)
	}
	if bind(slow) == nil {
		t.Error("the address of an ordinary host can be used at once")
	}
	deadline := time.Now().Add(5 * time.Second)
	for bind(slow) != nil {
		if time.Now().After(deadline) {
			t.Fatal("the address of an ordinary host never becomes usable")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestNoIPv4(t *testing.T) {
	l := newLab(t)
	lan := l.Switch("lan")
	a, b := l.Host("a", lan, lab.NoIPv4, lab.NoDAD), l.Host("b", lan, lab.NoIPv4, lab.NoDAD)
	echo(t, b)
	reaches(t, a, b.LinkLocal())
	if b.Addr().IsValid() || len(interfaces(t, b)["eth0"]) != 1 {
		t.Errorf("b has more than a link-local address: %v", interfaces(t, b))
	}
}

func TestNonLocalBind(t *testing.T) {
	l := newLab(t)
	h := l.Host("h", l.Switch("lan"), lab.NonLocalBind)
	check(t, h.Do(func() error {
		c, err := net.Listen("tcp", "192.0.2.1:0")
		if err == nil {
			c.Close()
		}
		return err
	}))
}

func TestCut(t *testing.T) {
	l := newLab(t)
	lan := l.Switch("lan")
	a, b := l.Host("a", lan, lab.NoDAD), l.Host("b", lan, lab.NoDAD)
	echo(t, b)
	for _, c := range []struct {
		name        string
		how         lab.Cut
		up, running bool
	}{
		{"Silent", lab.Silent, true, true},
		{"NoCarrier", lab.NoCarrier, true, false},
		{"Down", lab.Down, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, h := range []*lab.Host{a, b} {
				reaches(t, a, b.Addr())
				h.Cut(c.how)
				cutOff(t, a, b.Addr())
				cutOff(t, a, b.LinkLocal())
				time.Sleep(20 * time.Millisecond)
				f := flags(t, h, "eth0")
				if up, running := f&net.FlagUp != 0, f&net.FlagRunning != 0; up != c.up || running != c.running {
					t.Errorf("up %v, running %v", up, running)
				}
				h.Heal()
				reaches(t, a, b.Addr())
				reaches(t, a, b.LinkLocal())
			}
		})
	}
}

func TestSplitAndBlock(t *testing.T) {
	l := newLab(t)
	lan := l.Switch("lan")
	var h []*lab.Host
	for i := range 5 {
		h = append(h, l.Host(fmt.Sprint("h", i), lan))
		echo(t, h[i])
	}
	l.Split(h[0:2], h[2:4])
	reaches(t, h[0], h[1].Addr())
	reaches(t, h[2], h[3].Addr())
	reaches(t, h[0], h[4].Addr())
	reaches(t, h[2], h[4].Addr())
	cutOff(t, h[0], h[2].Addr())
	cutOff(t, h[3], h[1].Addr())

	l.Split(h[0:1], h[1:2])
	reaches(t, h[0], h[2].Addr())
	cutOff(t, h[0], h[1].Addr())

	l.Heal()
	reaches(t, h[0], h[1].Addr())

	// One way, a datagram still arrives; its echo does not come back.
	l.Neighbours()
	l.Block(h[1], h[0])
	cutOff(t, h[0], h[1].Addr())
	var c *net.UDPConn
	check(t, h[1].Do(func() (err error) {
		c, err = net.ListenUDP("udp4", &net.UDPAddr{Port: 9})
		return err
	}))
	defer c.Close()
	check(t, h[0].Do(func() error {
		d, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: h[1].Addr().AsSlice(), Port: 9})
		if err != nil {
			return err
		}
		defer d.Close()
		_, err = d.Write([]byte("one way"))
		return err
	}))
	c.SetReadDeadline(time.Now().Add(time.Second))
	if n, err := c.Read(make([]byte, 100)); n != 7 {
		t.Errorf("in the direction that is not blocked: %v", err)
	}
}

// What was cut or split stays so when hosts are added.
func TestPlugDuringSplit(t *testing.T) {
	l := newLab(t)
	lan, second := l.Switch("lan"), l.Switch("second")
	a, b := l.Host("a", lan), l.Host("b", lan)
	echo(t, b)
	l.Split([]*lab.Host{a}, []*lab.Host{b})
	a.Plug(second)
	p := b.Plug(second)
	cutOff(t, a, b.Addr())
	cutOff(t, a, p.Addr)
	l.Heal()
	reaches(t, a, p.Addr)
}

func TestLoss(t *testing.T) {
	const percent, sent = 20, 3000
	l := newLab(t)
	lan := l.Switch("lan")
	from := l.Host("from", lan)
	var to []*net.UDPConn
	for i := range 3 {
		h := l.Host(fmt.Sprint("to", i), lan)
		check(t, h.Do(func() error {
			c, err := net.ListenUDP("udp4", &net.UDPAddr{Port: 9})
			to = append(to, c)
			return err
		}))
		defer to[i].Close()
	}
	l.Loss(percent)
	got := make([]map[byte]int, len(to))
	total := make([]int, len(to))
	check(t, from.Do(func() error {
		c, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(10, 1, 255, 255), Port: 9})
		if err != nil {
			return err
		}
		defer c.Close()
		for range sent / 100 {
			for i := range 100 {
				if _, err := c.Write([]byte{byte(i)}); err != nil {
					return err
				}
			}
			for r, c := range to {
				got[r] = make(map[byte]int)
				c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
				for b := make([]byte, 1); ; {
					if _, err := c.Read(b); err != nil {
						break
					}
					got[r][b[0]]++
					total[r]++
				}
			}
		}
		return nil
	}))
	for r, n := range total {
		if lost := 100 - 100*n/sent; lost < percent-4 || lost > percent+4 {
			t.Errorf("receiver %d lost %d %% of the broadcasts, want about %d %%", r, lost, percent)
		}
	}
	if fmt.Sprint(got[0]) == fmt.Sprint(got[1]) {
		t.Error("receivers lost the same frames")
	}
	l.Loss(0)
	echoed := l.Host("echo", lan)
	echo(t, echoed)
	for i := range 50 {
		if !ping(t, from, echoed.Addr(), long) {
			t.Fatalf("echo %d is lost without Loss", i)
		}
	}
}

func TestFirewall(t *testing.T) {
	l := newLab(t)
	lan := l.Switch("lan")
	a, b := l.Host("a", lan), l.Host("b", lan)
	for _, h := range []*lab.Host{a, b} {
		listen(t, h)
		echo(t, h)
	}
	tcp := func(from, to *lab.Host) bool { return dial(from, to.Addr()) == nil }
	mdns := func(from, to *lab.Host, addr string) bool {
		var r *net.UDPConn
		check(t, to.Do(func() error {
			i, err := net.InterfaceByIndex(2)
			if err != nil {
				return err
			}
			r, err = net.ListenMulticastUDP("udp4", i, &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353})
			return err
		}))
		defer r.Close()
		check(t, from.Do(func() error {
			c, err := net.DialUDP("udp4", &net.UDPAddr{IP: from.Addr().AsSlice()}, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)))
			if err != nil {
				return err
			}
			defer c.Close()
			c.Write([]byte("hello")) // which a firewall may refuse
			return nil
		}))
		r.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		n, _ := r.Read(make([]byte, 100))
		return n == 5
	}
	group, unicast := "224.0.0.251:5353", netip.AddrPortFrom(b.Addr(), 5353).String()
	for _, c := range []struct {
		name                       string
		rules                      []lab.Rule // of b
		in, out                    bool       // TCP from a to b, and back
		groupIn, groupOut, unicast bool       // UDP 5353 from a to b, back, and to b itself
	}{
		{"none", nil, true, true, true, true, true},
		{"NoInboundTCP", []lab.Rule{lab.NoInboundTCP}, false, true, true, true, true},
		{"NoOutboundTCP", []lab.Rule{lab.NoOutboundTCP}, true, false, true, true, true},
		{"RefuseTCP", []lab.Rule{lab.RefuseTCP}, false, true, true, true, true},
		{"NoMDNS", []lab.Rule{lab.NoMDNS}, true, true, false, false, false},
		{"NoMulticast", []lab.Rule{lab.NoMulticast}, true, true, false, false, true},
		{"two", []lab.Rule{lab.NoInboundTCP, lab.NoMulticast}, false, true, false, false, true},
		{"removed", nil, true, true, true, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.Firewall(c.rules...)
			for _, m := range []struct {
				what      string
				got, want bool
			}{
				{"TCP in", tcp(a, b), c.in},
				{"TCP out", tcp(b, a), c.out},
				{"multicast in", mdns(a, b, group), c.groupIn},
				{"multicast out", mdns(b, a, group), c.groupOut},
				{"port 5353 in", mdns(a, b, unicast), c.unicast},
				{"other UDP", ping(t, a, b.Addr(), long), true},
			} {
				if m.got != m.want {
					t.Errorf("%s: passes %v, want %v", m.what, m.got, m.want)
				}
			}
		})
	}
}

func TestDocker(t *testing.T) {
	l := newLab(t)
	lan := l.Switch("lan")
	for _, name := range []string{"a", "b"} {
		h := l.Host(name, lan)
		h.Docker()
		if addrs := interfaces(t, h)["docker0"]; len(addrs) == 0 || addrs[0] != "172.17.0.1/16" {
			t.Errorf("docker0 of %s: %v", name, addrs)
		}
		deadline := time.Now().Add(time.Second)
		for flags(t, h, "docker0")&net.FlagRunning == 0 {
			if time.Now().After(deadline) {
				t.Fatalf("docker0 of %s has no carrier", name)
			}
			time.Sleep(time.Millisecond)
		}
	}
}

func TestRouter(t *testing.T) {
	l := newLab(t)
	east, west := l.Switch("east"), l.Switch("west")
	r := l.Host("router", east, west, lab.Router)
	a, b := l.Host("a", east), l.Host("b", west)
	echo(t, b)
	cutOff(t, a, b.Addr())
	r.Gateway(a, b)
	reaches(t, a, b.Addr())
	a.Cut(lab.Down)
	cutOff(t, a, b.Addr())
	a.Heal()
	reaches(t, a, b.Addr())
}

func TestInterfacesComeAndGo(t *testing.T) {
	l := newLab(t)
	lan, second := l.Switch("lan"), l.Switch("second")
	a, b := l.Host("a", lan), l.Host("b", lan, second)
	echo(t, b)
	over := b.Ports()[1].Addr
	cutOff(t, a, over)
	p := a.Plug(second)
	reaches(t, a, over)
	p.Unplug()
	cutOff(t, a, over)
	if n := len(a.Ports()); n != 1 {
		t.Errorf("a has %d ports after one of two was unplugged", n)
	}
	p = a.Plug(second)
	reaches(t, a, over)
	if p.Name != "eth2" {
		t.Errorf("the name of an interface that is gone is used again: %s", p.Name)
	}

	listen(t, b)
	another := netip.MustParseAddr("10.1.77.77")
	b.IP("address add 10.1.77.77/16 dev eth0")
	if err := dial(a, another); err != nil {
		t.Errorf("to an address that was added: %v", err)
	}
	b.IP("address delete 10.1.77.77/16 dev eth0")
	if dial(a, another) == nil {
		t.Error("an address that was removed is still there")
	}
}

func TestNeighbours(t *testing.T) {
	l := newLab(t)
	lan, second := l.Switch("lan"), l.Switch("second")
	for i := range 4 {
		l.Host(fmt.Sprint("h", i), lan, second)
	}
	l.Neighbours()
	h := l.Hosts()[0]
	permanent := func() int {
		out, err := h.Command("ip", "neighbour", "show", "nud", "permanent").Output()
		check(t, err)
		return strings.Count(string(out), "PERMANENT")
	}
	const want = 3 * 2 * 2 // hosts, switches, families
	if n := permanent(); n != want {
		t.Errorf("%d entries, want %d", n, want)
	}
	h.Cut(lab.Down)
	h.Heal()
	if n := permanent(); n != want {
		t.Errorf("%d entries after the interface was down, want %d", n, want)
	}
}

func TestCountAndCapture(t *testing.T) {
	l := newLab(t)
	lan, second := l.Switch("lan"), l.Switch("second")
	a := l.Host("a", lan, second)
	b := l.Host("b", lan, second)
	l.Host("c", lan, second)
	listen(t, b)
	l.Loss(100) // does not matter to what is sent
	mdns, other, tcp := lan.Count("udp dport 5353"), second.Count("udp dport 5353"), lan.Count("meta l4proto tcp")
	capture := lan.Capture(lab.UDP(5353))
	all := lan.Capture(nil)
	check(t, a.Do(func() error {
		c, err := net.DialUDP("udp4", &net.UDPAddr{IP: a.Addr().AsSlice()}, &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353})
		if err != nil {
			return err
		}
		defer c.Close()
		for i := range 10 {
			if _, err := fmt.Fprint(c, "packet ", i); err != nil {
				return err
			}
		}
		return nil
	}))
	l.Heal()
	check(t, dial(a, b.Addr()))

	time.Sleep(20 * time.Millisecond)
	if n, bytes := mdns.Read(); n != 10 || bytes != 10*(20+8+8) {
		t.Errorf("counted %d frames with %d bytes, want 10 with %d", n, bytes, 10*(20+8+8))
	}
	if n, _ := other.Read(); n != 0 {
		t.Errorf("counted %d frames on the other switch", n)
	}
	if n, _ := tcp.Read(); n < 3 {
		t.Errorf("counted %d TCP frames for a connection", n)
	}
	frames, lost := capture.Stop()
	if len(frames) != 10 || lost != 0 {
		t.Fatalf("captured %d frames and lost %d, want 10", len(frames), lost)
	}
	for i, f := range frames {
		if got, want := string(f.Payload()), fmt.Sprint("packet ", i); got != want {
			t.Errorf("captured %q, want %q", got, want)
		}
	}
	if n := len(all.Frames()); n <= 10 {
		t.Errorf("captured %d frames without a filter", n)
	}
}

func TestProcess(t *testing.T) {
	l := newLab(t)
	a := l.Host("a", l.Switch("lan"))
	out, err := a.Command("ip", "-o", "-4", "address", "show", "eth0").Output()
	check(t, err)
	if !strings.Contains(string(out), a.Addr().String()) {
		t.Errorf("Command did not run on the host: %s", out)
	}
	var b strings.Builder
	cmd := exec.Command("ip", "-o", "-4", "address", "show", "eth0")
	cmd.Stdout = &b
	check(t, a.Start(cmd).Wait())
	if b.String() != string(out) {
		t.Errorf("Start did not run on the host: %s", b.String())
	}

	p := a.Start(exec.Command("sleep", "1000"))
	state := func() string {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Cmd.Process.Pid))
		if err != nil {
			return "gone"
		}
		return strings.Fields(string(b))[2]
	}
	wait := func(want string) {
		t.Helper()
		for end := time.Now().Add(time.Second); state() != want; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("process is %s, want %s", state(), want)
			}
		}
	}
	wait("S")
	p.Stop()
	wait("T")
	p.Continue()
	wait("S")
	p.Stop()
	p.Kill()
	if state() != "gone" {
		t.Errorf("process is %s after Kill", state())
	}
	if p.Wait() == nil {
		t.Error("Wait says nothing of the kill")
	}
}

func TestProcessesEndWithTheLab(t *testing.T) {
	lab.Require(t)
	var p *lab.Process
	t.Run("lab", func(t *testing.T) {
		l := lab.New(t)
		h := l.Host("h", l.Switch("lan"))
		p = h.Start(exec.Command("sleep", "1000"))
		p.Stop()
	})
	select {
	case <-p.Done():
	default:
		t.Error("a process outlived its lab")
	}
}

func TestRun(t *testing.T) {
	lab.Require(t)
	var p *lab.Process
	err := lab.Run(func(t lab.T) {
		l := lab.New(t)
		p = l.Host("h", l.Switch("lan")).Start(exec.Command("sleep", "1000"))
		t.Fatalf("too %s", "slow")
	})
	if err == nil || err.Error() != "too slow" {
		t.Errorf("Run: %v", err)
	}
	select {
	case <-p.Done():
	default:
		t.Error("a process outlived its lab")
	}
	if err := lab.Run(func(lab.T) {}); err != nil {
		t.Errorf("Run: %v", err)
	}
}

const victimMarker = "LAB_TEST_VICTIM"

// victim is a program that has a lab and is killed. It tells the process that
// it started.
func victim() {
	err := lab.Run(func(t lab.T) {
		l := lab.New(t)
		p := l.Host("h", l.Switch("lan")).Start(exec.Command("sleep", "1000"))
		fmt.Println(p.Cmd.Process.Pid)
		<-p.Done()
	})
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func TestNothingOutlivesAProgramThatWasKilled(t *testing.T) {
	lab.Require(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimMarker+"=1")
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	var pid int
	_, err = fmt.Fscan(out, &pid)
	cmd.Process.Kill()
	cmd.Wait()
	check(t, err)
	for end := time.Now().Add(2 * time.Second); ; time.Sleep(time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("process %d is still there", pid)
		}
	}
}

func TestHundredHosts(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	l := newLab(t)
	lan := l.Switch("lan")
	begin := time.Now()
	for i := range 100 {
		l.Host(fmt.Sprint("h", i), lan, lab.NoDAD)
		if i+1 == 30 {
			t.Logf("30 hosts took %v", time.Since(begin))
		}
	}
	t.Logf("100 hosts took %v", time.Since(begin))
	begin = time.Now()
	l.Neighbours()
	t.Logf("their neighbours took %v", time.Since(begin))
	hosts := l.Hosts()
	for _, h := range hosts {
		echo(t, h)
	}
	// More pairs than the kernel's neighbour table has room for.
	begin = time.Now()
	for i, h := range hosts {
		for j := range 15 {
			to := hosts[(i+j+1)%len(hosts)]
			if !ping(t, h, to.Addr(), long) {
				t.Fatalf("%s does not reach %s", h.Name, to.Name)
			}
			if !ping(t, h, to.LinkLocal(), long) {
				t.Fatalf("%s does not reach %s over IPv6", h.Name, to.Name)
			}
		}
	}
	t.Logf("3000 echoes took %v", time.Since(begin))
}

func BenchmarkStart(b *testing.B) {
	lab.Require(b)
	l := lab.New(b)
	h := l.Host("h", l.Switch("lan"))
	for b.Loop() {
		if err := h.Start(exec.Command("/bin/true")).Wait(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCommand(b *testing.B) {
	lab.Require(b)
	l := lab.New(b)
	h := l.Host("h", l.Switch("lan"))
	for b.Loop() {
		if err := h.Command("/bin/true").Run(); err != nil {
			b.Fatal(err)
		}
	}
}
