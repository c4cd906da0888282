package mdns

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// announcementOf returns the packet that announces a node.
func announcementOf(tb testing.TB, n *node) []byte {
	tb.Helper()
	b, err := build(&message{response: true, records: n.records(kindService, inAnswer, 2)})
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// testNode is a node on interface 2.
func testNode(id string) *node {
	return &node{
		service: "_chat._tcp.local.", instance: id + "._chat._tcp.local.",
		host: hostPrefix + strings.ToLower(id) + ".local.", port: 7000, txt: []string{"v=1"},
		addrs: map[int][]netip.Addr{2: {netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fe80::1")}},
		links: []link{{2, false}},
	}
}

func TestMessageRoundTrip(t *testing.T) {
	n := testNode("AB12")
	sent := append(n.records(kindService, inAnswer, 2), n.records(kindAddrs, inAdditional, 2)...)
	b, err := build(&message{id: 7, response: true, truncated: true, records: sent,
		questions: []question{{"_chat._tcp.local.", dnsmessage.TypePTR, true}}})
	if err != nil {
		t.Fatal(err)
	}
	var m message
	if err := parse(b, &m); err != nil {
		t.Fatal(err)
	}
	if m.id != 7 || !m.response || !m.truncated || len(m.questions) != 1 || !m.questions[0].unicast {
		t.Errorf("head came back as %+v", m)
	}
	if len(m.records) != len(sent) {
		t.Fatalf("%d records came back of %d", len(m.records), len(sent))
	}
	for i, r := range m.records {
		if !r.same(&sent[i]) || r.ttl != sent[i].ttl || r.unique != sent[i].unique || r.section != sent[i].section {
			t.Errorf("sent %+v, got %+v", sent[i], r)
		}
	}
}

// label encodes a name label by label, so that a label may contain a dot.
func label(labels ...string) []byte {
	var b []byte
	for _, l := range labels {
		b = append(append(b, byte(len(l))), l...)
	}
	return append(b, 0)
}

func header(questions, answers, authorities, additionals byte) []byte {
	return []byte{0, 0, 0x84, 0, 0, questions, 0, answers, 0, authorities, 0, additionals}
}

// resource encodes a record of one hour.
func resource(name []byte, typ dnsmessage.Type, data []byte) []byte {
	b := append(bytes.Clone(name), byte(typ>>8), byte(typ), 0, 1, 0, 0, 14, 16, byte(len(data)>>8), byte(len(data)))
	return append(b, data...)
}

// hostile returns packets that a stranger may send.
func hostile() map[string][]byte {
	a := resource(label("h", "local"), dnsmessage.TypeA, []byte{10, 0, 0, 1})
	long := label(strings.Repeat("x", 63), strings.Repeat("x", 63), strings.Repeat("x", 63), strings.Repeat("x", 63))
	return map[string][]byte{
		"nothing":          {},
		"half a header":    header(1, 0, 0, 0)[:7],
		"counts that lie":  append(header(255, 255, 255, 255), a...),
		"pointer to self":  append(header(1, 0, 0, 0), 0xC0, 12, 0, 12, 0, 1),
		"pointers in ring": append(header(1, 0, 0, 0), 0xC0, 14, 0xC0, 12, 0, 12, 0, 1),
		"pointer beyond":   append(header(0, 1, 0, 0), resource([]byte{0xFF, 0xFF}, dnsmessage.TypeA, []byte{1, 2, 3, 4})...),
		"name too long":    append(header(0, 1, 0, 0), resource(long, dnsmessage.TypeA, []byte{1, 2, 3, 4})...),
		"data cut short":   append(header(0, 1, 0, 0), a[:len(a)-2]...),
		"length beyond":    append(header(0, 1, 0, 0), append(label("h"), 0, 16, 0, 1, 0, 0, 0, 1, 0xFF, 0xFF, 3, 'a')...),
		"TXT overruns":     append(header(0, 1, 0, 0), resource(label("h"), dnsmessage.TypeTXT, []byte{200, 'a'})...),
		"empty TXT":        append(header(0, 1, 0, 0), resource(label("h"), dnsmessage.TypeTXT, nil)...),
		"reserved label":   append(header(1, 0, 0, 0), 0x80, 1, 2, 3),
	}
}

func TestParseHostile(t *testing.T) {
	for name, b := range hostile() {
		t.Run(name, func(t *testing.T) {
			var m message
			_ = parse(b, &m) // must return
			if len(m.records) > 1 {
				t.Errorf("%d records out of nothing", len(m.records))
			}
		})
	}
}

func TestParseKeepsWhatItCanRead(t *testing.T) {
	a := resource(label("h", "local"), dnsmessage.TypeA, []byte{10, 0, 0, 1})
	for _, test := range []struct {
		name    string
		packet  []byte
		records int
		failed  bool
	}{
		{"cut after one record", append(append(header(0, 2, 0, 0), a...), a[:9]...), 1, true},
		{"fewer records than said", append(header(0, 9, 0, 0), a...), 1, true},
		{"owner with a dot in a label", append(append(append(header(0, 3, 0, 0), a...),
			resource(label("My.Printer", "_ipp", "_tcp", "local"), dnsmessage.TypeA, []byte{10, 0, 0, 2})...), a...), 2, false},
		{"target with a dot in a label", append(append(append(header(0, 3, 0, 0), a...),
			resource(label("_ipp", "_tcp", "local"), dnsmessage.TypePTR, label("My.Printer", "_ipp"))...), a...), 2, false},
		{"question with a dot in a label", append(append(append(header(1, 1, 0, 0), label("a.b", "local")...), 0, 12, 0, 1), a...), 1, false},
		{"types of no use", append(append(header(0, 2, 0, 0), resource(label("h"), 47, []byte{1, 2, 3})...), a...), 1, false},
		{"all sections", append(append(append(header(0, 1, 1, 1), a...), a...), a...), 3, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var m message
			err := parse(test.packet, &m)
			if len(m.records) != test.records || (err != nil) != test.failed {
				t.Errorf("got %d records and error %v, want %d and an error: %v", len(m.records), err, test.records, test.failed)
			}
		})
	}
}

func TestMention(t *testing.T) {
	m := newMention([]string{"_chat._tcp.local.", "tcpnet-01.local."})
	for _, test := range []struct {
		name string
		want bool
	}{
		{"_chat._tcp.local.", true},
		{"_CHAT._tcp.local.", true},
		{"x._chat._tcp.local.", true},
		{"TCPNET-01.local.", true},
		{"_services._dns-sd._udp.local.", true},
		{"_chatter._tcp.local.", false},
		{"chat._tcp.local.", false},
		{"tcpnet-02.local.", false},
	} {
		b, err := build(&message{questions: []question{{name: test.name, typ: typeANY}}})
		if err != nil {
			t.Fatal(err)
		}
		if got := m.in(b); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestPackSplits(t *testing.T) {
	var rs []record
	for i := range 60 {
		n := testNode(fmt.Sprintf("%032X", i))
		rs = append(rs, n.records(kindService, inAnswer, 2)...)
	}
	got := 0
	for _, b := range pack(message{response: true}, rs) {
		if len(b) > maxSend {
			t.Errorf("a packet of %d bytes", len(b))
		}
		var m message
		if err := parse(b, &m); err != nil {
			t.Fatal(err)
		}
		got += len(m.records)
	}
	if got != len(rs) {
		t.Errorf("%d records sent of %d", got, len(rs))
	}
}

// FuzzParse looks for packets that crash or stall, and checks that what was read
// can be said again.
func FuzzParse(f *testing.F) {
	for _, b := range hostile() {
		f.Add(b)
	}
	whole := announcementOf(f, testNode("AB12"))
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	for _, b := range packQuery(question{name: "_chat._tcp.local.", typ: dnsmessage.TypePTR}, testNode("AB12").records(kindPTR, inAnswer, 2)) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > maxReceive {
			return
		}
		var m, again message
		_ = parse(b, &m)
		newMention([]string{"_chat._tcp.local."}).in(b)
		for _, r := range m.records {
			r.section = inAnswer
			b, err := build(&message{response: true, records: []record{r}})
			if err != nil {
				continue // a root name, say
			}
			if err := parse(b, &again); err != nil || len(again.records) != 1 || !again.records[0].same(&r) {
				t.Errorf("%+v came back as %+v, %v", r, again.records, err)
			}
		}
		handleFuzzed(&m)
	})
}

// handleFuzzed hands a message to everything that takes one.
func handleFuzzed(m *message) {
	w := newWorld()
	w.cache.handle(w.now, w.netmap, 2, netip.MustParseAddr("10.0.0.9"), m, tracked, notOwn)
	for _, in := range w.cache.instances {
		candidateAddrs(in, func(int) bool { return true })
	}
	r := newResponder(fixed, func(*node) bool { return false })
	r.add(w.now, testNode("AB12"))
	src := netip.MustParseAddrPort("10.0.0.9:5353")
	r.query(w.now, link{2, false}, src, m, 0)
	r.response(w.now, link{2, false}, m)
	r.advance(w.now.Add(moreLimit))
	q := newQuerier("_chat._tcp.local.", fixed)
	q.restart(w.now, []link{{2, false}}, func(int) bool { return true })
	q.heard(w.now, link{2, false}, src, m, notOwn)
}

func BenchmarkParseAnnouncement(b *testing.B) {
	packet := announcementOf(b, testNode("0123456789ABCDEF0123456789ABCDEF"))
	var m message
	b.ReportAllocs()
	for b.Loop() {
		if err := parse(packet, &m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRejectUnrelated(b *testing.B) {
	packet := announcementOf(b, testNode("0123456789ABCDEF0123456789ABCDEF"))
	m := newMention([]string{"_other._tcp.local.", "tcpnet-01.local."})
	b.ReportAllocs()
	for b.Loop() {
		if m.in(packet) {
			b.Fatal("mentioned")
		}
	}
}
