//go:build linux

package labtest

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/internal/lab"
)

// nameServer is a dnsmasq on a host.
type nameServer struct {
	t       *testing.T
	process *lab.Process
	addr    netip.AddrPort
	hosts   string // a file with the names that have addresses
}

// startDNS starts dnsmasq on a host. Its A and AAAA records are told to it by
// [nameServer.names] and last two seconds; srv are SRV records as
// "NAME,TARGET,PORT".
func startDNS(t *testing.T, h *lab.Host, srv ...string) *nameServer {
	t.Helper()
	path, err := exec.LookPath("dnsmasq")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("install dnsmasq-base: %v", err)
		}
		t.Skipf("install dnsmasq-base: %v", err)
	}
	dir := t.TempDir()
	s := &nameServer{t: t, addr: netip.AddrPortFrom(h.Addr(), 53), hosts: filepath.Join(dir, "hosts")}
	if err := os.WriteFile(s.hosts, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	args := []string{
		"--keep-in-foreground", "--conf-file=/dev/null", "--log-facility=-", "--user=root", "--group=root",
		"--no-resolv", "--no-hosts", "--addn-hosts=" + s.hosts, "--local=/test/", "--local-ttl=2",
		"--pid-file=" + filepath.Join(dir, "pid"),
	}
	for _, r := range srv {
		args = append(args, "--srv-host="+r)
	}
	cmd := exec.Command(path, args...)
	var log buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("dnsmasq: %s", log.String())
		}
	})
	s.process = h.Start(cmd)
	eventually(t, "dnsmasq on "+h.Name, func() error {
		if !strings.Contains(log.String(), "read "+s.hosts) {
			return fmt.Errorf("is not ready: %s", log.String())
		}
		return nil
	})
	return s
}

// names says which names have which addresses, as "ADDRESS NAME" each.
func (s *nameServer) names(lines ...string) {
	s.t.Helper()
	if err := os.WriteFile(s.hosts, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		s.t.Fatal(err)
	}
	s.process.Signal(syscall.SIGHUP)
}

// by finds nodes by a name in the DNS.
func (s *nameServer) by(name string) func(*settings) {
	return func(n *settings) { n.DNS, n.Server = name, s.addr }
}

// subnets are two networks with a router between them, over which no multicast goes.
func subnets(l *lab.Lab, n int) (router *lab.Host, one, two []*lab.Host) {
	east, west := l.Switch("east"), l.Switch("west")
	router = l.Host("router", east, west, lab.Router, lab.NoDAD)
	for i := range n {
		one = append(one, l.Host(fmt.Sprint("east", i), east, lab.NoDAD))
		two = append(two, l.Host(fmt.Sprint("west", i), west, lab.NoDAD))
	}
	router.Gateway(append(append([]*lab.Host{}, one...), two...)...)
	return router, one, two
}

// Across a router, one seed on one node joins two networks that each find themselves.
func TestOneSeedJoinsTwoSubnets(t *testing.T) {
	l := newLab(t)
	_, one, two := subnets(l, 3)
	c := newCluster(t)
	east := c.startOn(one)
	c.meshed(patience, east...)
	west := c.startOn(two[1:])
	seed := netip.AddrPortFrom(one[2].Addr(), east[2].port()).String()
	last := c.start(two[0], seeded(seed)).ready()
	begin := last.all(ready)[0].Time
	meshed := c.meshed(patience, append(append(east, west...), last)...)
	t.Logf("six nodes were one mesh %v after the one with the seed had joined", meshed.Sub(begin).Round(time.Millisecond))
}

// Nodes of two subnets that start together find each other by A records.
func TestTheDNSJoinsTwoSubnets(t *testing.T) {
	l := newLab(t)
	router, one, two := subnets(l, 2)
	s := startDNS(t, router)
	all := append(one, two...)
	var lines []string
	for _, h := range all {
		lines = append(lines, h.Addr().String()+" mesh.test")
	}
	s.names(lines...)
	c := newCluster(t)
	ms := c.startOn(all, s.by("mesh.test:4000"), listening(":4000"))
	last := c.meshed(patience, ms...)
	t.Logf("connected %v after the last Join", last.Sub(ms[3].ready().all(ready)[0].Time).Round(time.Millisecond))
	// Nobody dials itself, and there is nothing left to dial.
	for _, m := range ms {
		m.status(func(st *tcpnet.Status) error {
			for _, s := range st.Seeds {
				if s.ID == "" || s.ID == st.ID || s.Error != "" {
					return fmt.Errorf("%+v", s)
				}
			}
			if len(st.Seeds) != len(ms)-1 {
				return fmt.Errorf("%d seeds", len(st.Seeds))
			}
			return nil
		})
	}
}

// SRV records tell the ports too. There are more than fit into a packet of UDP.
func TestSRVRecordsJoinTwoSubnets(t *testing.T) {
	l := newLab(t)
	router, one, two := subnets(l, 2)
	all := append(one, two...)
	var srv, lines []string
	for i, h := range all {
		srv = append(srv, fmt.Sprintf("_tcpnet._tcp.mesh.test,%s.mesh.test,%d", h.Name, 4000+i))
		lines = append(lines, fmt.Sprintf("%s %s.mesh.test", h.Addr(), h.Name))
	}
	for i := range 60 {
		srv = append(srv, fmt.Sprintf("_tcpnet._tcp.mesh.test,nobody-has-such-a-name-%d.mesh.test,4000", i))
	}
	s := startDNS(t, router, srv...)
	s.names(lines...)
	c := newCluster(t)
	var ms []*member
	for i, h := range all {
		ms = append(ms, c.start(h, s.by("mesh.test"), listening(fmt.Sprint(":", 4000+i))))
	}
	c.meshed(patience, ms...)
}

// What comes into the DNS later is found when the TTL is over, even if it looks for
// nobody itself, and what goes is not dialled any more.
func TestRecordsOfTheDNSChange(t *testing.T) {
	l := newLab(t)
	lan := l.Switch("lan")
	hs := hosts(l, 3, lan, lab.NoDAD)
	s := startDNS(t, l.Host("dns", lan, lab.NoDAD))
	c := newCluster(t)
	quiet := func(n *settings) { n.NoMDNS = true }
	looking := c.start(hs[0], s.by("mesh.test:4000")).ready()
	passive := c.start(hs[1], quiet, listening(":4000")).ready()
	s.names(hs[1].Addr().String()+" mesh.test", hs[2].Addr().String()+" mesh.test")
	c.meshed(patience, looking, passive)
	seeds := func(want ...*lab.Host) {
		t.Helper()
		looking.status(func(st *tcpnet.Status) error {
			var got, wanted []string
			for _, s := range st.Seeds {
				got = append(got, s.Addr)
			}
			for _, h := range want {
				wanted = append(wanted, h.Addr().String()+":4000")
			}
			if fmt.Sprint(got) != fmt.Sprint(wanted) {
				return fmt.Errorf("seeds are %v, want %v", got, wanted)
			}
			return nil
		})
	}
	seeds(hs[1], hs[2])
	s.names(hs[1].Addr().String() + " mesh.test")
	seeds(hs[1])
	dials := lan.Count(fmt.Sprintf("ip daddr %s tcp dport 4000", hs[2].Addr()))
	time.Sleep(3 * time.Second)
	if n, _ := dials.Read(); n != 0 {
		t.Errorf("%d packets to the host that is gone", n)
	}
	// A server that fails takes nothing away.
	s.process.Kill()
	time.Sleep(3 * time.Second)
	seeds(hs[1])
	unharmed(c, c.connections(looking, passive), looking, passive)
}

// The command asks the servers that the machine is set up with, and completes names
// as the machine does.
func TestJoinByANameInTheDNS(t *testing.T) {
	command(t)
	l := newLab(t)
	router, one, two := subnets(l, 1)
	s := startDNS(t, router)
	s.names(one[0].Addr().String()+" nodes.mesh.test", two[0].Addr().String()+" nodes.mesh.test")
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	text := fmt.Sprintf("nameserver %s\nsearch mesh.test\noptions ndots:5\n", s.addr.Addr())
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	name := randomName()
	joinThere := func(h *lab.Host, label string, dns string) *terminal {
		j := &terminal{t: t}
		cmd := exec.Command("unshare", "--mount", "sh", "-c", `mount --bind "$1" /etc/resolv.conf && shift && exec "$@"`, "sh", conf,
			command(t), "join", name, "--label", label, "--addr", ":4000", "--dns", dns)
		cmd.Stdout, cmd.Stderr = &j.stdout, &j.err
		var err error
		if j.stdin, err = cmd.StdinPipe(); err != nil {
			t.Fatal(err)
		}
		j.process = h.Start(cmd)
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("on %s:\n%s\n%s", h.Name, j.stdout.String(), j.err.String())
			}
		})
		return j
	}
	a := joinThere(one[0], "anna", "nodes")
	a.says("listening")
	b := joinThere(two[0], "bert", "nodes:4000")
	a.says("bert")
	b.types("hello")
	a.shows("hello")
	c := joinThere(router, "carl", "nobody.mesh.test.")
	c.says("no nodes from the DNS: nobody.mesh.test.: there are no records")
}
