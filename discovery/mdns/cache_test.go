package mdns

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"example.com/tcpnet/discovery"
	"golang.org/x/net/dns/dnsmessage"
)

const chat = "_chat._tcp.local."

func fixed() float64               { return 0 }
func tracked(s string) bool        { return s == chat }
func notOwn(string) bool           { return false }
func always(int) bool              { return true }
func never(int) bool               { return false }
func at(s string) netip.Addr       { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// A world is a cache and a clock on a machine with an interface 1, loopback, and
// an interface 2, eth0 with 10.0.0.5/24 and fe80::5/64.
type world struct {
	now    time.Time
	netmap *netmap
	cache  *cache
	from   netip.Addr
}

func testInterfaces() []Interface {
	return []Interface{
		{net.Interface{Index: 1, Name: "lo", Flags: net.FlagUp | net.FlagLoopback},
			[]netip.Prefix{prefix("127.0.0.1/8"), prefix("::1/128")}},
		{net.Interface{Index: 2, Name: "eth0", Flags: net.FlagUp | net.FlagMulticast},
			[]netip.Prefix{prefix("10.0.0.5/24"), prefix("fe80::5/64")}},
	}
}

func newWorld() *world {
	return &world{
		now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), netmap: newNetmap(testInterfaces()), cache: newCache(fixed),
		from: at("10.0.0.9"),
	}
}

// hear gives records to the cache, from 10.0.0.9 by eth0.
func (w *world) hear(rs ...record) []change { return w.hearBy(2, rs...) }

func (w *world) hearBy(index int, rs ...record) []change {
	for i := range rs {
		rs[i].name = fold(rs[i].name)
	}
	return w.cache.handle(w.now, w.netmap, index, w.from, &message{response: true, records: rs}, tracked, notOwn)
}

func (w *world) after(d time.Duration) { w.now = w.now.Add(d) }

// neighbour is a node at an address.
func neighbour(id string, addrs ...string) *node {
	n := testNode(id)
	n.addrs = map[int][]netip.Addr{2: nil}
	for _, a := range addrs {
		n.addrs[2] = append(n.addrs[2], at(a))
	}
	return n
}

func announce(n *node) []record { return n.records(kindService, inAnswer, 2) }

func goodbye(n *node) []record {
	rs := announce(n)
	for i := range rs {
		rs[i].ttl = 0
	}
	return rs
}

func (w *world) addrs(key string) (s []string) {
	in := w.cache.instances[key]
	if in == nil {
		return nil
	}
	for _, a := range candidateAddrs(in, always) {
		s = append(s, a.String())
	}
	return s
}

func TestCacheTellsAnnouncementsFromAnswers(t *testing.T) {
	w := newWorld()
	n := neighbour("AB", "10.0.0.9")
	ch := w.hear(announce(n)...)
	if len(ch) != 1 || !ch[0].announced || !ch[0].in.resolved() {
		t.Errorf("an announcement brought %+v", ch)
	}
	answer := append(n.records(kindPTR, inAnswer, 2), n.records(kindService&^kindPTR, inAdditional, 2)...)
	if ch := w.hear(answer...); len(ch) != 1 || ch[0].announced {
		t.Errorf("an answer brought %+v", ch)
	}
}

func TestCacheAddresses(t *testing.T) {
	for _, test := range []struct {
		name  string
		addrs []string
		want  []string
	}{
		{"source first", []string{"10.0.0.7", "10.0.0.9"}, []string{"10.0.0.9:7000", "10.0.0.7:7000"}},
		{"link-local with zone", []string{"fe80::9"}, []string{"[fe80::9%eth0]:7000"}},
		{"no address record", nil, []string{"10.0.0.9:7000"}},
		{"a third party", []string{"192.0.2.1"}, []string{"10.0.0.9:7000"}},
		{"a third party beside it", []string{"192.0.2.1", "10.0.0.7"}, []string{"10.0.0.7:7000"}},
		{"loopback from outside", []string{"127.0.0.1", "::1", "10.0.0.9"}, []string{"10.0.0.9:7000"}},
		{"not of a host", []string{"0.0.0.0", "224.0.0.1", "ff02::1", "10.0.0.0", "10.0.0.255", "255.255.255.255"}, []string{"10.0.0.9:7000"}},
		{"too many", []string{"10.0.0.11", "10.0.0.12", "10.0.0.13", "10.0.0.14", "10.0.0.15", "10.0.0.16", "10.0.0.17", "10.0.0.18", "10.0.0.19"},
			[]string{"10.0.0.11:7000", "10.0.0.12:7000", "10.0.0.13:7000", "10.0.0.14:7000", "10.0.0.15:7000", "10.0.0.16:7000", "10.0.0.17:7000", "10.0.0.18:7000"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld()
			w.hear(announce(neighbour("AB", test.addrs...))...)
			if got := w.addrs("ab." + chat); fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// Cache flush, RFC 6762, 10.2: a new set of addresses replaces what is older than
// a second, for its family and interface.
func TestCacheFlush(t *testing.T) {
	w := newWorld()
	w.hear(announce(neighbour("AB", "10.0.0.9", "fe80::9"))...)
	w.after(500 * time.Millisecond)
	w.hear(announce(neighbour("AB", "10.0.0.8"))...)
	if got := fmt.Sprint(w.addrs("ab." + chat)); got != "[10.0.0.9:7000 10.0.0.8:7000 [fe80::9%eth0]:7000]" {
		t.Errorf("within a second: %v", got)
	}
	w.from = at("10.0.0.8")
	w.hear(announce(neighbour("AB", "10.0.0.8"))...)
	if got := fmt.Sprint(w.addrs("ab." + chat)); got != "[10.0.0.8:7000 10.0.0.9:7000 [fe80::9%eth0]:7000]" {
		t.Errorf("from the new address: %v", got)
	}
	w.after(2 * time.Second)
	w.hear(announce(neighbour("AB", "10.0.0.8"))...)
	if got := fmt.Sprint(w.addrs("ab." + chat)); got != "[10.0.0.8:7000 [fe80::9%eth0]:7000]" {
		t.Errorf("later: %v", got)
	}
	shared := announce(neighbour("AB", "10.0.0.7"))
	for i := range shared {
		shared[i].unique = false
	}
	w.after(2 * time.Second)
	w.hear(shared...)
	if got := w.addrs("ab." + chat); len(got) != 3 {
		t.Errorf("without the bit: %v", got)
	}
}

func TestCacheIgnoresWhatIsNotOfTheService(t *testing.T) {
	w := newWorld()
	ptr := func(name, target string) record {
		return record{name: name, typ: dnsmessage.TypePTR, ttl: 120, target: target}
	}
	w.hear(
		ptr(chat, "."), ptr(chat, "local."), ptr(chat, chat), ptr(chat, "x._other._tcp.local."), ptr(chat, "a.b."+chat),
		ptr("_other._tcp.local.", "x."+chat), ptr(".", "x."+chat),
		record{name: "a.b." + chat, typ: dnsmessage.TypeSRV, ttl: 120, port: 1, target: "h."},
	)
	if n := len(w.cache.instances); n != 0 {
		t.Errorf("%d instances", n)
	}
}

func TestCacheGoodbye(t *testing.T) {
	w := newWorld()
	n := neighbour("AB", "10.0.0.9")
	if ch := w.hear(goodbye(n)...); len(ch) != 0 || len(w.cache.instances) != 0 {
		t.Errorf("the goodbye of a stranger brought %+v", ch)
	}
	w.hear(announce(n)...)
	if ch := w.hear(goodbye(n)...); len(ch) != 1 || !ch[0].gone {
		t.Errorf("a goodbye brought %+v", ch)
	}
	if gone := w.cache.takeGone(); len(gone) != 1 || len(w.cache.instances) != 0 || len(w.cache.perSource) != 0 {
		t.Errorf("left behind: %+v, gone: %v", w.cache, gone)
	}
}

// A goodbye counts only where the one it speaks of would take it for one: it can then
// say that it is there.
func TestCacheGoodbyeThatIsNone(t *testing.T) {
	w := newWorld()
	n := neighbour("AB", "10.0.0.9")
	w.hear(announce(n)...)
	additional := goodbye(n)
	for i := range additional {
		additional[i].section = inAdditional
	}
	if ch := w.hear(additional...); len(ch) != 0 || len(w.cache.instances) != 1 {
		t.Errorf("among the additional records: %+v", ch)
	}
	w.hear(announce(n)...)
	if ch := w.hearBy(1, goodbye(n)...); len(ch) != 0 || len(w.cache.instances) != 1 {
		t.Errorf("on another interface: %+v", ch)
	}
}

// Refresh, RFC 6762, 5.2: asked for at 80, 85, 90 and 95 % of the life, with up
// to 2 % of variation, then dropped.
func TestCacheRefresh(t *testing.T) {
	for _, jitter := range []float64{0, 0.99} {
		w := newWorld()
		w.cache.random = func() float64 { return jitter }
		w.hear(announce(neighbour("AB", "10.0.0.9"))...)
		start := w.now
		var asked []float64
		for len(w.cache.instances) > 0 {
			if w.cache.due.IsZero() || w.cache.due.Before(w.now) {
				t.Fatal("nothing planned")
			}
			w.now = w.cache.due
			if r := w.cache.advance(w.now); len(r) > 0 {
				asked = append(asked, 100*w.now.Sub(start).Seconds()/otherTTL)
			}
		}
		if len(asked) != 4 {
			t.Fatalf("asked at %v %%", asked)
		}
		for i, p := range []float64{80, 85, 90, 95} {
			if asked[i] < p || asked[i] > p+2 {
				t.Errorf("asked at %v %%, want %v", asked[i], p)
			}
		}
		if lived := w.now.Sub(start); lived != otherTTL*time.Second {
			t.Errorf("lived %v", lived)
		}
	}
}

// The life of SRV and address records is two minutes, but they are not forgotten
// before the instance is.
func TestCacheKeepsOldAddresses(t *testing.T) {
	w := newWorld()
	w.hear(announce(neighbour("AB", "10.0.0.9"))...)
	w.after(time.Hour)
	w.cache.advance(w.now)
	if got := w.addrs("ab." + chat); len(got) != 1 {
		t.Errorf("after an hour: %v", got)
	}
	w.hear(announce(neighbour("AB", "fe80::9"))...)
	if got := fmt.Sprint(w.addrs("ab." + chat)); got != "[[fe80::9%eth0]:7000]" {
		t.Errorf("with a newer one: %v", got)
	}
}

// Reconfirmation, RFC 6762, 10.4: 10 s without an answer, and it is gone.
func TestCacheReconfirm(t *testing.T) {
	for _, answered := range []bool{false, true} {
		w := newWorld()
		n := neighbour("AB", "10.0.0.9")
		w.hear(announce(n)...)
		w.after(time.Minute)
		if !w.cache.doubt(w.now, "ab."+chat) {
			t.Fatal("not doubted")
		}
		if w.cache.doubt(w.now, "ab."+chat) {
			t.Error("doubted twice")
		}
		if answered {
			w.hear(n.records(kindSRV|kindTXT, inAnswer, 2)...)
		}
		w.after(10*time.Second - 1)
		w.cache.advance(w.now)
		if len(w.cache.instances) != 1 {
			t.Error("gone before 10 s")
		}
		w.after(1)
		w.cache.advance(w.now)
		if (len(w.cache.instances) == 1) != answered {
			t.Errorf("answered %v, there %v", answered, len(w.cache.instances) == 1)
		}
	}
}

func TestCacheIsBounded(t *testing.T) {
	w := newWorld()
	flood := func(from string, n int) {
		for i := range n {
			id := fmt.Sprintf("%x%04x", at(from).As4(), i)
			w.cache.handle(w.now, w.netmap, 2, at(from), &message{response: true, records: announce(neighbour(id))}, tracked, notOwn)
		}
	}
	flood("10.0.0.66", 2*maxInstances)
	if n := len(w.cache.instances); n != maxPerSource {
		t.Errorf("one sender filled %d places", n)
	}
	flood("10.0.0.67", 2*maxInstances)
	if n := len(w.cache.instances); n != maxInstances {
		t.Errorf("%d instances", n)
	}
	w.after(time.Second)
	w.hear(announce(neighbour("AB", "10.0.0.9"))...)
	if w.cache.instances["ab."+chat] == nil || len(w.cache.instances) != maxInstances {
		t.Error("no place left for a newcomer")
	}
	if len(w.cache.takeGone()) != 1 {
		t.Error("the one that made room was not told of")
	}
	for i := range 100 {
		n := testNode("AB")
		n.addrs[2] = nil
		for j := range 20 {
			n.addrs[2] = append(n.addrs[2], netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + i + j)}))
		}
		w.hear(announce(n)...)
	}
	if n := len(w.cache.instances["ab."+chat].addrs); n > maxAddrs {
		t.Errorf("%d addresses", n)
	}
	var ifs []Interface
	n := testNode("AB")
	for i := range 20 {
		ifs = append(ifs, Interface{net.Interface{Index: i, Flags: net.FlagUp | net.FlagMulticast}, []netip.Prefix{prefix(fmt.Sprintf("10.%d.0.5/24", i))}})
		n.addrs[i] = nil
		for j := range maxAddrs {
			n.addrs[i] = append(n.addrs[i], netip.AddrFrom4([4]byte{10, byte(i), 0, byte(10 + j)}))
		}
	}
	w.netmap = newNetmap(ifs)
	for i := range ifs {
		w.hearBy(i, n.records(kindService, inAnswer, i)...)
	}
	if n := len(w.cache.instances["ab."+chat].addrs); n > maxAllAddrs {
		t.Errorf("%d addresses on all interfaces", n)
	}
}

// An instance that a message speaks of may have to make room for another that it
// speaks of, too: then it is gone.
func TestCacheMakesRoomWithinAMessage(t *testing.T) {
	w := newWorld()
	var crowd []record
	for host, n := range map[byte]int{66: 512, 67: 511, 68: 1} {
		for i := range n {
			rs := announce(neighbour(fmt.Sprintf("%02X%04X", host, i)))
			if host == 66 {
				crowd = append(crowd, rs...)
			}
			w.from = netip.AddrFrom4([4]byte{10, 0, 0, host})
			w.hear(rs...)
		}
	}
	w.from = at("10.0.0.9")
	gone := 0
	for _, ch := range w.hear(append(crowd, announce(neighbour("AB"))...)...) {
		if ch.gone != (w.cache.instances[ch.in.key] == nil) {
			t.Errorf("%s: gone is %v", ch.in.label, ch.gone)
		}
		if ch.gone {
			gone++
		}
	}
	if gone != 1 || w.cache.instances["ab."+chat] == nil {
		t.Errorf("%d made room for the newcomer", gone)
	}
}

// Known answers, RFC 6762, 7.1: those with more than half of their life ahead.
func TestCacheKnownAnswers(t *testing.T) {
	w := newWorld()
	w.hear(announce(neighbour("AB", "10.0.0.9"))...)
	hint := announce(neighbour("CD", "10.0.0.9"))
	for i := range hint {
		hint[i].ttl = min(hint[i].ttl, legacyTTL)
	}
	w.hear(hint...)
	if rs := w.cache.answers(w.now, chat, 2, nil); len(rs) != 1 || rs[0].ttl != otherTTL || rs[0].target != "AB."+chat {
		t.Errorf("known: %+v", rs)
	}
	if rs := w.cache.answers(w.now, chat, 1, nil); len(rs) != 0 {
		t.Errorf("known on another interface: %+v", rs)
	}
	w.after(otherTTL * time.Second / 2)
	if rs := w.cache.answers(w.now, chat, 2, nil); len(rs) != 0 {
		t.Errorf("known after half of the life: %+v", rs)
	}
}

func TestCacheForgetsInterface(t *testing.T) {
	w := newWorld()
	w.hear(announce(neighbour("AB", "10.0.0.9"))...)
	w.cache.forgetInterface(1)
	if len(w.cache.instances) != 1 {
		t.Error("gone with the wrong interface")
	}
	w.cache.forgetInterface(2)
	if len(w.cache.instances) != 0 {
		t.Error("still there")
	}
}

// What an announcement costs from the packet to the word to the node.
func BenchmarkHandleAnnouncement(b *testing.B) {
	w := newWorld()
	var packets [][]byte
	for i := range 500 {
		packets = append(packets, announcementOf(b, neighbour(fmt.Sprintf("%032X", i), "10.0.0.9", "fe80::9")))
	}
	mention := newMention([]string{chat, "tcpnet-01.local."})
	told := 0
	var m message
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%len(packets) == 0 {
			w = newWorld()
		}
		packet := packets[i%len(packets)]
		if !mention.in(packet) {
			b.Fatal("not mentioned")
		}
		_ = payloadHash(packet)
		if err := parse(packet, &m); err != nil {
			b.Fatal(err)
		}
		for _, c := range w.cache.handle(w.now, w.netmap, 2, at("10.0.0.9"), &m, tracked, notOwn) {
			r := newReporter(discovery.Self{Cluster: "chat"}, false, always, countingSink{&told})
			r.report(w.now, c.in, c.announced)
		}
	}
	if told == 0 {
		b.Fatal("nothing told")
	}
}

type countingSink struct{ n *int }

func (c countingSink) Found(discovery.Candidate) { *c.n++ }
func (c countingSink) Foreign(discovery.Foreign) {}
