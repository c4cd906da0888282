//go:build linux

package labtest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/tcpnet/internal/lab"
	"golang.org/x/net/dns/dnsmessage"
)

// What is on the wire is as RFC 6762 wants it.
func TestMulticastDNSOnTheWire(t *testing.T) {
	l := newQuietLab(t)
	one, two := l.Switch("one"), l.Switch("two")
	h := l.Host("h", one, two, lab.NoDAD)
	other := l.Host("other", one, lab.NoDAD)
	c := newCluster(t)
	neighbour := c.start(other).ready()
	time.Sleep(8 * time.Second) // it has nothing more to announce

	captures := map[*lab.Switch]*lab.Capture{one: one.Capture(lab.UDP(5353)), two: two.Capture(lab.UDP(5353))}
	node := c.start(h).ready()
	begin := node.all(ready)[0].Time
	c.meshed(patience, node, neighbour)
	time.Sleep(time.Until(begin.Add(12 * time.Second)))
	leaving := time.Now()
	node.shutdown()
	time.Sleep(300 * time.Millisecond)

	for i, s := range []*lab.Switch{one, two} {
		p := h.Ports()[i]
		frames, lost := captures[s].Stop()
		if lost > 0 {
			t.Errorf("%d frames were not captured", lost)
		}
		var announced, goodbyes []time.Time // over IPv4
		idle := 0
		for _, k := range packets(t, frames) {
			if k.src != p.Addr && k.src != p.LinkLocal {
				continue
			}
			proper(t, s, p, k)
			switch {
			case k.goodbye():
				if k.src.Is4() {
					goodbyes = append(goodbyes, k.at)
				}
			case announcement(k) && k.src.Is4():
				announced = append(announced, k.at)
			}
			if k.at.After(begin.Add(8*time.Second)) && k.at.Before(leaving) {
				idle++
			}
		}
		// RFC 6762, 8.3: at 0, 1, 3 and 7 s.
		var at []time.Duration
		for _, a := range announced {
			at = append(at, a.Sub(announced[0]).Round(10*time.Millisecond))
		}
		want := []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second}
		if !slices.EqualFunc(at, want, func(a, b time.Duration) bool {
			return a-b < slowdown*500*time.Millisecond && b-a < 100*time.Millisecond
		}) {
			t.Errorf("switch %s: announced at %v, want %v", s.Name, at, want)
		}
		if len(goodbyes) != 2 || goodbyes[1].Sub(leaving) > time.Second {
			t.Errorf("switch %s: %d goodbyes, want 2", s.Name, len(goodbyes))
		}
		// One question more, per family, at the most.
		if idle > 4 {
			t.Errorf("switch %s: %d packets in 4 idle seconds", s.Name, idle)
		}
		t.Logf("switch %s: announced at %v, %d packets in 4 idle seconds, %d goodbyes", s.Name, at, idle, len(goodbyes))
	}
}

func announcement(k packet) bool {
	return k.message.Response && k.dst.IsMulticast() && slices.ContainsFunc(k.message.Answers, func(r dnsmessage.Resource) bool {
		return r.Header.Type == dnsmessage.TypeSRV
	})
}

// proper checks what holds for every packet.
func proper(t *testing.T, s *lab.Switch, p *lab.Port, k packet) {
	t.Helper()
	if len(k.payload) > 1440 {
		t.Errorf("a packet of %d bytes", len(k.payload))
	}
	if k.ttl != 255 {
		t.Errorf("TTL %d", k.ttl)
	}
	if k.message.Response && k.srcPort != 5353 {
		t.Errorf("a response from port %d", k.srcPort)
	}
	if k.message.Response && (k.message.ID != 0 && k.dst.IsMulticast() || !k.message.Authoritative || len(k.message.Questions) > 0 && k.dst.IsMulticast()) {
		t.Errorf("a response with the header %+v and questions %v", k.message.Header, k.message.Questions)
	}
	for _, a := range k.addrs() {
		if a != p.Addr && a != p.LinkLocal {
			t.Errorf("on switch %s the address %v is told, which is not of that link", s.Name, a)
		}
	}
	if strings.Contains(string(k.payload), "%eth") {
		t.Errorf("a zone is on the wire: %q", k.payload)
	}
	for _, r := range k.records() {
		unique := r.Header.Class&(1<<15) != 0
		switch r.Header.Type {
		case dnsmessage.TypePTR:
			if unique {
				t.Errorf("a PTR record, which is shared, flushes caches")
			}
		case dnsmessage.TypeSRV, dnsmessage.TypeTXT, dnsmessage.TypeA, dnsmessage.TypeAAAA:
			if !unique && k.dst.IsMulticast() {
				t.Errorf("a record of type %v, which is unique, does not flush caches", r.Header.Type)
			}
		}
		if b, ok := r.Body.(*dnsmessage.TXTResource); ok && !slices.Equal(b.TXT, []string{"v=1"}) {
			t.Errorf("TXT %q", b.TXT)
		}
	}
}

// A cluster at rest is all but silent.
func TestIdleSilence(t *testing.T) {
	if !*long {
		t.Skip("takes more than a minute: -labtest.long")
	}
	l := newLab(t)
	lan := l.Switch("lan")
	c := newCluster(t)
	ms := c.startOn(hosts(l, 10, lan, lab.NoDAD))
	c.meshed(patience, ms...)
	time.Sleep(65 * time.Second)
	mdns := lan.Capture(lab.UDP(5353))
	time.Sleep(time.Minute)
	frames, _ := mdns.Stop()
	t.Logf("%d packets of mDNS in a minute", len(frames))
	if len(frames) > 10 {
		t.Errorf("%d packets of mDNS in a minute, from 10 nodes", len(frames))
		for _, p := range packets(t, frames) {
			t.Logf("%v %v %v", p.at.Format("05.000"), p.src, p.message.GoString())
		}
	}
}
