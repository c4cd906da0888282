//go:build linux

package labtest

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/internal/lab"
)

// What people have at hand sees our nodes: on another machine, and on the node's
// own, where both share port 5353.
func TestAvahiResolvesOurNodes(t *testing.T) {
	l := newLab(t)
	lan := l.Switch("lan")
	here, there := l.Host("here", lan, lab.NoDAD), l.Host("there", lan, lab.NoDAD)
	onHere, onThere := startAvahi(t, here), startAvahi(t, there)
	c := newCluster(t)
	service := "_" + c.name + "._tcp"
	node := c.start(here).ready()
	other := c.start(there)
	c.meshed(patience, node, other)

	check := func(t *testing.T, found []resolved, ifaces ...string) {
		t.Helper()
		seen := map[string]bool{}
		hostOf := map[string]string{}
		for _, r := range found {
			if r.name != string(node.id) {
				continue
			}
			if r.service != service || r.domain != "local" || r.port != fmt.Sprint(node.port()) || r.txt != `"v=1"` {
				t.Errorf("resolved as %+v", r)
			}
			if h := hostOf[r.name]; h != "" && h != r.host {
				t.Errorf("two host names: %s and %s", h, r.host)
			}
			hostOf[r.name] = r.host
			if r.host == "here.local" {
				t.Error("the host name is the machine's, which belongs to Avahi")
			}
			at, err := netip.ParseAddr(r.address)
			if err != nil {
				t.Errorf("address %q", r.address)
				continue
			}
			if r.iface == "lo" && !at.IsLoopback() || r.iface == "eth0" && at != here.Addr() && at != here.LinkLocal() {
				t.Errorf("the address on %s is %v", r.iface, at)
			}
			seen[r.iface+" "+r.family] = true
		}
		for _, i := range ifaces {
			if !seen[i] {
				t.Errorf("not resolved on %s: %+v", i, found)
			}
		}
	}
	check(t, onThere.browse(service), "eth0 IPv4", "eth0 IPv6")
	check(t, onHere.browse(service), "eth0 IPv4", "eth0 IPv6")
	both := 0
	for _, r := range onThere.browse(service) {
		if r.iface == "eth0" && r.family == "IPv4" {
			both++
		}
	}
	if both != 2 {
		t.Errorf("%d nodes are seen over IPv4 on eth0, want 2", both)
	}

	watching := onThere.watch(service)
	eventually(t, "the node is seen", func() error {
		if !strings.Contains(watching(), "+;eth0;IPv4;"+string(node.id)) {
			return fmt.Errorf("%s", watching())
		}
		return nil
	})
	begin := time.Now()
	node.shutdown()
	eventually(t, "the node is seen to leave", func() error {
		if !strings.Contains(watching(), "-;eth0;IPv4;"+string(node.id)) || !strings.Contains(watching(), "-;eth0;IPv6;"+string(node.id)) {
			return fmt.Errorf("%s", watching())
		}
		return nil
	})
	t.Logf("seen to leave %v after SIGTERM", time.Since(begin).Round(time.Millisecond))
}

// Names that are no service names have a type derived from a hash, and TXT says
// what they are.
func TestAvahiResolvesNodesOfAnyName(t *testing.T) {
	l := newLab(t)
	h := l.Host("here", l.Switch("lan"), lab.NoDAD)
	a := startAvahi(t, h)
	c := newCluster(t)
	c.name = "Größer als 15 Bytes, mit Ümlauten " + c.name
	node := c.start(h).ready()
	var out buffer
	cmd := a.command("avahi-browse", "--resolve", "--parsable", "--terminate", "--all")
	cmd.Stdout = &out
	if err := h.Start(cmd).Wait(); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "=;eth0;IPv4;"+string(node.id)) && strings.Contains(line, "name=Gr") && strings.Contains(line, `"v=1"`) {
			return
		}
	}
	t.Errorf("not resolved:\n%s", out.String())
}

// A service of the same type that does not say v=1 is somebody else's: it is
// listed and never dialled.
func TestForeignServicesAreListedAndLeftAlone(t *testing.T) {
	l := newLab(t)
	lan := l.Switch("lan")
	here, there := l.Host("here", lan, lab.NoDAD), l.Host("there", lan, lab.NoDAD)
	var disturbed atomic.Int32
	serve := func(c net.Conn) {
		disturbed.Add(1)
		c.Close()
	}
	c := newCluster(t)
	service := "_" + c.name + "._tcp"
	for _, h := range []*lab.Host{here, there} {
		at := listenOn(t, h, ":0", serve)
		a := startAvahi(t, h)
		a.publish("a printer of "+h.Name, service, at.Port(), "rp=printer")
		a.publish("ABCDEF"+fmt.Sprint(len(h.Name)), service, at.Port()) // looks like an ID, and has no TXT
	}
	nodes := []*member{c.start(here), c.start(there)}
	c.meshed(patience, nodes...)
	for _, m := range nodes {
		m.status(func(s *tcpnet.Status) error {
			got := map[string]tcpnet.ForeignStatus{}
			for _, f := range s.Foreign {
				got[f.Name] = f
			}
			for _, want := range []string{"a printer of here", "a printer of there", "ABCDEF4", "ABCDEF5"} {
				if f, ok := got[want]; !ok || f.Source != "mdns" || f.Why == "" || len(f.Addrs) == 0 {
					return fmt.Errorf("%q is not listed: %+v", want, s.Foreign)
				}
			}
			if len(s.Candidates) > 0 {
				return fmt.Errorf("candidates: %+v", s.Candidates)
			}
			return nil
		})
	}
	time.Sleep(2 * time.Second)
	if n := disturbed.Load(); n > 0 {
		t.Errorf("they were connected to %d times", n)
	}
}

// What says v=1 and is no node is tried, and its trouble told.
func TestServicesThatOnlyLookLikeNodes(t *testing.T) {
	l := newLab(t)
	lan := l.Switch("lan")
	here, there := l.Host("here", lan, lab.NoDAD), l.Host("there", lan, lab.NoDAD)
	a := startAvahi(t, there)
	c := newCluster(t)
	service := "_" + c.name + "._tcp"
	for id, serve := range map[string]func(net.Conn){
		"AA": func(c net.Conn) { // answers with something else
			io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
			io.Copy(io.Discard, c)
			c.Close()
		},
		"BB": func(c net.Conn) { c.Close() }, // hangs up
		"CC": func(c net.Conn) { // reads and hangs up
			c.Read(make([]byte, 4096))
			c.Close()
		},
	} {
		at := listenOn(t, there, ":0", serve)
		a.publish(id, service, at.Port(), "v=1")
	}
	at := listenOn(t, there, ":0", func(c net.Conn) { // never answers
		io.Copy(io.Discard, c)
		c.Close()
	})
	a.publish("DD", service, at.Port(), "v=1")

	nodes := []*member{c.start(here), c.start(there)}
	c.meshed(patience, nodes...)
	for i, m := range nodes {
		for _, id := range []tcpnet.ID{"AA", "BB", "CC"} {
			c.await(patience, func() error {
				if lastIndex(m.events, func(e event) bool { return e.Kind == rejected && e.ID == id && e.Reason == "not tcpnet" }) < 0 {
					return fmt.Errorf("%v has not told that %s is no node", m, id)
				}
				return nil
			})
		}
		m.status(func(s *tcpnet.Status) error {
			for _, id := range []tcpnet.ID{"AA", "BB", "CC", "DD"} {
				if id == "DD" && i > 0 {
					continue // has more addresses here, and 5 s are given to each
				}
				found := false
				for _, cand := range s.Candidates {
					found = found || cand.ID == id && cand.Error != ""
				}
				if !found {
					return fmt.Errorf("does not say what is wrong with %s: %+v", id, s.Candidates)
				}
			}
			return nil
		})
	}
}
