package mdns

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"example.com/tcpnet/discovery"
)

// A desk is a cache with a reporter of one node.
type desk struct {
	*world
	r *reporter
	s *sink
}

func newDesk() *desk {
	s := newSink()
	return &desk{newWorld(), newReporter(discovery.Self{Cluster: "chat"}, false, always, s), s}
}

func (d *desk) hear(rs ...record) { d.hearBy(2, rs...) }

func (d *desk) hearBy(index int, rs ...record) {
	for _, c := range d.world.hearBy(index, rs...) {
		if !c.gone {
			d.r.report(d.now, c.in, c.announced)
		}
	}
	for _, key := range d.cache.takeGone() {
		d.r.forget(key)
	}
}

// reports returns how many candidates there were since the last call.
func (d *desk) reports() (cs []discovery.Candidate) {
	cs, d.s.found = d.s.found, nil
	return cs
}

func (d *desk) want(t *testing.T, what string, n int, announced bool) {
	t.Helper()
	cs := d.reports()
	if len(cs) != n {
		t.Fatalf("%s: %d reports, want %d: %+v", what, len(cs), n, cs)
	}
	for _, c := range cs {
		if c.Announced != announced || c.ID != "AB" || c.Source != "mdns" {
			t.Errorf("%s: %+v", what, c)
		}
	}
}

func TestReports(t *testing.T) {
	d := newDesk()
	n := neighbour("AB", "10.0.0.9")
	d.hear(announce(n)...)
	d.want(t, "first announcement", 1, true)
	d.after(time.Second)
	d.hear(announce(n)...)
	d.want(t, "repeated", 0, false)
	n.port++
	d.hear(announce(n)...)
	d.want(t, "another port", 1, true)
	d.hear(goodbye(n)...)
	d.want(t, "goodbye", 0, false)
	d.hear(announce(n)...)
	d.want(t, "back again", 1, true)
	d.after(9 * time.Second)
	d.hear(announce(n)...)
	d.want(t, "still the same announcement", 0, false)
	d.after(time.Second)
	d.hear(announce(n)...)
	d.want(t, "another announcement", 1, true)
	d.after(time.Minute)
	d.hear(n.records(kindSRV|kindTXT, inAnswer, 2)...)
	d.want(t, "mentioned after a minute", 1, false)
	d.r.doubt("ab." + chat)
	d.hear(n.records(kindSRV|kindTXT, inAnswer, 2)...)
	d.want(t, "doubted", 1, false)
	d.hear(n.records(kindSRV|kindTXT, inAnswer, 2)...)
	d.want(t, "doubted no more", 0, false)
	n.addrs[2] = append(n.addrs[2], at("fe80::9"))
	d.after(time.Second)
	d.hear(announce(n)...)
	d.want(t, "another address", 1, true)
}

// Addresses that come right after a report are collected for a moment.
func TestReportsGather(t *testing.T) {
	d := newDesk()
	n := neighbour("AB", "10.0.0.9")
	d.hear(announce(n)...)
	d.want(t, "first", 1, true)
	d.after(time.Millisecond)
	n.addrs[2] = append(n.addrs[2], at("fe80::9"))
	d.hear(announce(n)...)
	d.want(t, "one more address", 0, false)
	if next := d.r.next(); next.Sub(d.now) != gather-time.Millisecond {
		t.Errorf("next after %v", next.Sub(d.now))
	}
	d.after(gather)
	d.r.advance(d.now, func(key string) *instance { return d.cache.instances[key] })
	cs := d.reports()
	if len(cs) != 1 || len(cs[0].Addrs) != 2 {
		t.Errorf("then: %+v", cs)
	}
	if !d.r.next().IsZero() {
		t.Error("something still waits")
	}
}

// One with many addresses on two interfaces is told of a few times, not with every
// packet.
func TestReportsOfManyAddresses(t *testing.T) {
	d := newDesk()
	wlan := Interface{net.Interface{Index: 3, Name: "wlan0", Flags: net.FlagUp | net.FlagMulticast}, []netip.Prefix{prefix("10.0.1.5/24")}}
	d.netmap = newNetmap(append(testInterfaces(), wlan))
	n := neighbour("AB")
	for i := range maxAddrs {
		n.addrs[2] = append(n.addrs[2], netip.AddrFrom4([4]byte{10, 0, 0, byte(20 + i)}))
		n.addrs[3] = append(n.addrs[3], netip.AddrFrom4([4]byte{10, 0, 1, byte(20 + i)}))
	}
	for range 10 {
		for _, index := range []int{3, 2} {
			d.from = n.addrs[index][0]
			d.hearBy(index, n.records(kindService, inAnswer, index)...)
			d.after(500 * time.Millisecond)
		}
	}
	cs := d.reports()
	if len(cs) > 2 {
		t.Errorf("20 packets in 10 s: %d reports", len(cs))
	}
	last := cs[len(cs)-1].Addrs
	if len(last) != maxAddrs || last[0].Addr() != at("10.0.0.20") || last[1].Addr() != at("10.0.1.20") {
		t.Errorf("told of %v, want those first that packets came from", last)
	}
}

func TestReportsOfInterfacesInUse(t *testing.T) {
	d := newDesk()
	d.r.use = never
	d.hear(announce(neighbour("AB", "10.0.0.9"))...)
	d.want(t, "heard on an interface that the node does not use", 0, false)
}

func TestForeign(t *testing.T) {
	for _, test := range []struct {
		name string
		id   string
		txt  []string
	}{
		{"no version", "AB", []string{""}},
		{"a later version", "AB", []string{"v=2"}},
		{"another cluster", "AB", []string{"v=1", "name=other"}},
		{"not an ID", "Some Printer", []string{"v=1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk()
			n := neighbour(test.id, "10.0.0.9")
			n.txt = test.txt
			for range 3 {
				d.hear(announce(n)...)
				d.after(2 * time.Minute)
			}
			if len(d.s.found) > 0 || len(d.s.foreign) != 1 {
				t.Fatalf("found %+v, foreign %+v", d.s.found, d.s.foreign)
			}
			f := d.s.foreign[0]
			if f.Name != test.id || f.Why == "" || len(f.Addrs) != 1 || f.Source != "mdns" {
				t.Errorf("foreign %+v", f)
			}
			// If it becomes a node after all, it is found.
			n = neighbour("AB", "10.0.0.9")
			n.instance = test.id + "." + chat
			d.hear(announce(n)...)
			if test.name != "not an ID" && len(d.s.found) != 1 {
				t.Errorf("then found %+v", d.s.found)
			}
		})
	}
}
