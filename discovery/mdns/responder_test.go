package mdns

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

var (
	eth4    = link{2, false}
	eth6    = link{2, true}
	peer    = netip.MustParseAddrPort("10.0.0.9:5353")
	legacy  = netip.MustParseAddrPort("10.0.0.9:40000")
	forever = 100 * time.Hour
)

// A stage is a responder with a clock and a record of what it sent.
type stage struct {
	t     *testing.T
	r     *responder
	n     *node
	start time.Time
	now   time.Time
	sent  []event

	crowded bool // the node is one of many
}

// An event is a packet that was sent, after some time.
type event struct {
	at time.Duration
	transmission
	m message
}

// newStage has a node AB12 that was announced to the end.
func newStage(t *testing.T) *stage {
	s := newQuietStage(t)
	s.r.add(s.now, s.n)
	s.run(10 * time.Second)
	s.start, s.sent = s.now, nil
	return s
}

func newQuietStage(t *testing.T) *stage {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	s := &stage{t: t, n: testNode("AB12"), start: now, now: now}
	s.r = newResponder(fixed, func(*node) bool { return s.crowded })
	return s
}

// run lets time pass, stopping wherever the responder wants to do something.
func (s *stage) run(d time.Duration) {
	end := s.now.Add(d)
	for {
		s.record(s.r.advance(s.now))
		due := s.r.next()
		if due.IsZero() || due.After(end) {
			s.now = end
			return
		}
		if due.Before(s.now) {
			s.t.Fatalf("at %v: due %v ago", s.now.Sub(s.start), s.now.Sub(due))
		}
		s.now = due
	}
}

func (s *stage) record(ts []transmission) {
	for _, t := range ts {
		e := event{at: s.now.Sub(s.start), transmission: t}
		if err := parse(t.payload, &e.m); err != nil {
			s.t.Fatal(err)
		}
		s.sent = append(s.sent, e)
	}
}

func (s *stage) ask(from netip.AddrPort, m message) {
	s.r.query(s.now, eth4, from, &m, payloadHash([]byte(fmt.Sprint(m.id))))
}

func (s *stage) want(times ...time.Duration) {
	s.t.Helper()
	var got []time.Duration
	for _, e := range s.sent {
		got = append(got, e.at)
	}
	if !slices.Equal(got, times) {
		s.t.Errorf("sent at %v, want %v", got, times)
	}
}

func ptrQuestion() message {
	return message{questions: []question{{name: chat, typ: dnsmessage.TypePTR}}}
}

func types(rs []record, s section) (ts []string) {
	for _, r := range rs {
		if r.section == s {
			ts = append(ts, r.typ.String()[len("Type"):])
		}
	}
	return ts
}

// Announcements, RFC 6762, 8.3: unsolicited, several, at doubling intervals.
func TestAnnouncements(t *testing.T) {
	s := newQuietStage(t)
	s.r.add(s.now, s.n)
	s.run(forever)
	s.want(0, time.Second, 3*time.Second, 7*time.Second)
	for _, e := range s.sent {
		if got := fmt.Sprint(types(e.m.records, inAnswer)); got != "[PTR SRV TXT A AAAA]" || e.to.IsValid() || e.kind != packetAnnouncement {
			t.Errorf("announced %s to %v", got, e.to)
		}
		for _, r := range e.m.records {
			if r.unique == (r.typ == dnsmessage.TypePTR) {
				t.Errorf("%v: cache flush %v", r.typ, r.unique)
			}
			want := uint32(otherTTL)
			if r.typ != dnsmessage.TypePTR && r.typ != dnsmessage.TypeTXT {
				want = hostTTL
			}
			if r.ttl != want {
				t.Errorf("%v: TTL %d, want %d", r.typ, r.ttl, want)
			}
		}
	}
}

// Both families of an interface carry the same packet, IPv6 a moment later.
func TestAnnouncementTwins(t *testing.T) {
	s := newQuietStage(t)
	s.n.links = []link{eth4, eth6}
	s.r.add(s.now, s.n)
	s.run(time.Second / 2)
	if len(s.sent) != 2 || string(s.sent[0].payload) != string(s.sent[1].payload) {
		t.Fatalf("sent %d packets, not two alike", len(s.sent))
	}
	if s.sent[0].link != eth4 || s.sent[1].link != eth6 {
		t.Errorf("sent on %v, then on %v", s.sent[0].link, s.sent[1].link)
	}
	s.want(0, secondFamily)
}

// One of many lets the others rest before it says the same by IPv6. Where there is no
// IPv4 it does not wait.
func TestAnnouncementInACrowd(t *testing.T) {
	s := newQuietStage(t)
	s.crowded = true
	s.n.links = []link{eth4, eth6}
	s.r.add(s.now, s.n)
	s.run(secondFamily + crowdRest)
	s.want(0, time.Second, 3*time.Second, secondFamily+crowdRest)
	if l := s.sent[3].link; l != eth6 {
		t.Errorf("the last one was sent on %v", l)
	}
	s = newQuietStage(t)
	s.crowded = true
	s.n.links = []link{eth6}
	s.r.add(s.now, s.n)
	s.run(time.Second / 2)
	s.want(0)
}

func TestAnswerMatches(t *testing.T) {
	s := newStage(t)
	for _, test := range []struct {
		name   string
		typ    dnsmessage.Type
		answer string
		extra  string
	}{
		{chat, dnsmessage.TypePTR, "[PTR]", "[SRV TXT A AAAA]"},
		{chat, typeANY, "[PTR]", "[SRV TXT A AAAA]"},
		{chat, dnsmessage.TypeSRV, "", ""},
		{"ab12." + chat, dnsmessage.TypeSRV, "[SRV]", "[A AAAA]"},
		{"ab12." + chat, dnsmessage.TypeTXT, "[TXT]", "[]"},
		{"ab12." + chat, typeANY, "[SRV TXT]", "[A AAAA]"},
		{s.n.host, dnsmessage.TypeA, "[A]", "[AAAA]"},
		{s.n.host, dnsmessage.TypeAAAA, "[AAAA]", "[A]"},
		{s.n.host, typeANY, "[A AAAA]", "[]"},
		{enumeration, dnsmessage.TypePTR, "[PTR]", "[]"},
		{"cd." + chat, typeANY, "", ""},
		{"local.", typeANY, "", ""},
	} {
		s.run(time.Minute)
		s.sent = nil
		s.ask(peer, message{questions: []question{{name: test.name, typ: test.typ}}})
		s.run(time.Minute)
		var answer, extra string
		for _, e := range s.sent {
			answer += fmt.Sprint(types(e.m.records, inAnswer))
			extra += fmt.Sprint(types(e.m.records, inAdditional))
		}
		if answer != test.answer || extra != test.extra {
			t.Errorf("%s %v: answered %s with %s, want %s with %s", test.name, test.typ, answer, extra, test.answer, test.extra)
		}
	}
}

// What there is none of is said so with NSEC (RFC 6762, 6.1).
func TestNegativeAnswer(t *testing.T) {
	s := newQuietStage(t)
	s.n.addrs[2] = []netip.Addr{at("10.0.0.1")}
	s.r.add(s.now, s.n)
	s.run(10 * time.Second)
	s.sent = nil
	s.ask(peer, message{questions: []question{{name: s.n.host, typ: dnsmessage.TypeAAAA}}})
	s.run(time.Second)
	if len(s.sent) != 1 {
		t.Fatalf("%d packets", len(s.sent))
	}
	var p dnsmessage.Parser
	if _, err := p.Start(s.sent[0].payload); err != nil {
		t.Fatal(err)
	}
	if err := p.SkipAllQuestions(); err != nil {
		t.Fatal(err)
	}
	h, err := p.AnswerHeader()
	if err != nil || h.Type != typeNSEC {
		t.Fatalf("answered %+v, %v", h, err)
	}
	r, err := p.UnknownResource()
	want := append(label("tcpnet-ab12", "local"), 0, 1, 0x40) // A is type 1
	if err != nil || string(r.Data) != string(want) {
		t.Errorf("data %x, want %x, %v", r.Data, want, err)
	}
}

// Delays, RFC 6762, 6: shared records 20 to 120 ms, unique ones at once.
func TestAnswerDelay(t *testing.T) {
	for _, test := range []struct {
		name   string
		typ    dnsmessage.Type
		random float64
		want   time.Duration
	}{
		{chat, dnsmessage.TypePTR, 0, 20 * time.Millisecond},
		{chat, dnsmessage.TypePTR, 1, 120 * time.Millisecond},
		{"ab12." + chat, dnsmessage.TypeSRV, 1, 0},
	} {
		s := newStage(t)
		s.r.random = func() float64 { return test.random }
		s.ask(peer, message{questions: []question{{name: test.name, typ: test.typ}}})
		s.run(time.Second)
		s.want(test.want)
	}
}

// RFC 6762, 6: a record is multicast at most once a second; an answer waits, it is
// not lost. A probe is answered within 250 ms all the same.
func TestOncePerSecond(t *testing.T) {
	s := newStage(t)
	for range 30 {
		s.ask(peer, ptrQuestion())
		s.run(100 * time.Millisecond)
	}
	s.run(time.Minute)
	const ms = time.Millisecond
	s.want(20*ms, 1020*ms, 2020*ms, 3020*ms)
}

func TestAnnouncementAnswersWhatWaits(t *testing.T) {
	s := newQuietStage(t)
	s.r.add(s.now, s.n)
	s.run(500 * time.Millisecond)
	s.ask(peer, ptrQuestion())
	s.run(1500 * time.Millisecond)
	s.want(0, time.Second)
}

func TestProbeIsAnsweredSoon(t *testing.T) {
	s := newStage(t)
	probe := message{
		questions: []question{{name: "ab12." + chat, typ: typeANY}},
		records:   []record{{name: "ab12." + chat, typ: dnsmessage.TypeSRV, section: inAuthority, ttl: 120, port: 1, target: "other.local."}},
	}
	s.ask(peer, probe)
	s.run(10 * time.Millisecond)
	s.ask(peer, probe)
	s.run(time.Minute)
	s.want(0, 250*time.Millisecond)
}

// Known answers, RFC 6762, 7.1: they need no answer if half of their life is left.
func TestKnownAnswerSuppression(t *testing.T) {
	for _, test := range []struct {
		name  string
		known record
		sent  int
	}{
		{"ours", record{target: "ab12." + chat, ttl: otherTTL}, 0},
		{"half of its life", record{target: "AB12." + chat, ttl: otherTTL / 2}, 0},
		{"less than half", record{target: "AB12." + chat, ttl: otherTTL/2 - 1}, 1},
		{"another's", record{target: "CD." + chat, ttl: otherTTL}, 1},
		{"not an answer", record{target: "AB12." + chat, ttl: otherTTL, section: inAdditional}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStage(t)
			test.known.name, test.known.typ = chat, dnsmessage.TypePTR
			q := ptrQuestion()
			q.records = []record{test.known}
			s.ask(peer, q)
			s.run(time.Minute)
			if len(s.sent) != test.sent {
				t.Errorf("%d answers, want %d", len(s.sent), test.sent)
			}
		})
	}
}

// RFC 6762, 7.4: what another responder has just answered is not said again.
func TestAnswerOfAnotherSuppresses(t *testing.T) {
	s := newStage(t)
	s.ask(peer, ptrQuestion())
	s.r.response(s.now, eth4, &message{response: true, records: s.n.records(kindPTR, inAnswer, 2)})
	s.run(time.Minute)
	s.want()
}

// RFC 6762, 7.2: with TC, the answer waits 400 to 500 ms for more known answers,
// and again if they are not the last.
func TestMoreKnownAnswers(t *testing.T) {
	const ms = time.Millisecond
	more := func(truncated bool, known ...record) message {
		return message{truncated: truncated, records: known}
	}
	for _, test := range []struct {
		name   string
		random float64
		parts  []message // 100 ms apart
		want   []time.Duration
	}{
		{"alone", 0, nil, []time.Duration{400 * ms}},
		{"alone, later", 1, nil, []time.Duration{500 * ms}},
		{"one that does not know us", 0, []message{more(false)}, []time.Duration{400 * ms}},
		{"one with more to come", 0, []message{more(true)}, []time.Duration{500 * ms}},
		{"one that knows us", 0, []message{more(true), more(false, testNode("AB12").records(kindPTR, inAnswer, 2)...)}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStage(t)
			s.r.random = func() float64 { return test.random }
			q := ptrQuestion()
			q.truncated = true
			s.ask(peer, q)
			for _, m := range test.parts {
				s.run(100 * ms)
				s.ask(peer, m)
			}
			s.run(time.Minute)
			s.want(test.want...)
		})
	}
}

func TestMoreKnownAnswersForEver(t *testing.T) {
	s := newStage(t)
	q := ptrQuestion()
	q.truncated = true
	s.ask(peer, q)
	for range 100 {
		s.run(100 * time.Millisecond)
		s.ask(peer, message{truncated: true})
	}
	if len(s.sent) == 0 || s.sent[0].at > 4*time.Second {
		t.Error("an answer can be put off for ever")
	}
}

// Several programs of a host ask from one address (RFC 6762, 15.2). That one of them
// knows us does not keep the answer from another, nor can they put it off for ever.
func TestQuestionsOfOneHost(t *testing.T) {
	q := ptrQuestion()
	q.truncated = true
	knows := q
	knows.records = testNode("AB12").records(kindPTR, inAnswer, 2)
	for name, ms := range map[string][]message{"the second knows us": {q, knows}, "the first does": {knows, q}, "none does": {q, q}} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			for _, m := range ms {
				s.ask(peer, m)
				s.run(100 * time.Millisecond)
			}
			s.run(time.Minute)
			s.want(500 * time.Millisecond)
		})
	}
	s := newStage(t)
	for range 100 {
		s.ask(peer, q)
		s.run(100 * time.Millisecond)
	}
	if len(s.sent) == 0 || s.sent[0].at > 4*time.Second {
		t.Error("an answer can be put off for ever")
	}
	for _, h := range s.r.holds {
		if len(h.wants) > 1 {
			t.Errorf("%d answers for one node are held", len(h.wants))
		}
	}
}

// Legacy resolvers, RFC 6762, 6.7.
func TestLegacyReply(t *testing.T) {
	s := newStage(t)
	q := ptrQuestion()
	q.id = 4711
	s.ask(legacy, q)
	s.run(time.Second)
	s.want(20 * time.Millisecond)
	e := s.sent[0]
	if e.to != legacy || e.m.id != 4711 || len(e.m.questions) != 1 || e.m.questions[0].name != chat || e.m.questions[0].unicast {
		t.Errorf("replied %+v to %v", e.m, e.to)
	}
	for _, r := range e.m.records {
		if r.unique || r.ttl > 10 {
			t.Errorf("%v: cache flush %v, TTL %d", r.typ, r.unique, r.ttl)
		}
	}
	// The same over the other family is the same question; another is not.
	q.questions[0].unicast = true
	q.id = 4712
	s.ask(legacy, q)
	s.r.query(s.now, eth6, legacy, &q, payloadHash([]byte(fmt.Sprint(q.id))))
	s.run(time.Second)
	if len(s.sent) != 2 || s.sent[1].m.records[0].ttl != otherTTL {
		t.Errorf("%d replies, want one more, with the true life", len(s.sent))
	}
}

// The unicast-response bit, RFC 6762, 5.4: multicast if it was not for a quarter
// of the life.
func TestUnicastReply(t *testing.T) {
	s := newStage(t)
	q := ptrQuestion()
	q.questions[0].unicast = true
	s.ask(peer, q)
	s.run(time.Second)
	if len(s.sent) != 1 || s.sent[0].to != peer || len(s.sent[0].m.questions) != 0 || s.sent[0].m.records[0].ttl != otherTTL {
		t.Errorf("replied %+v", s.sent)
	}
	s.run(otherTTL * time.Second / 4)
	s.sent = nil
	s.ask(peer, q)
	s.run(time.Second)
	if len(s.sent) != 1 || s.sent[0].to.IsValid() {
		t.Errorf("after a quarter of the life: %+v", s.sent)
	}
}

func TestGoodbye(t *testing.T) {
	s := newStage(t)
	s.ask(legacy, ptrQuestion())
	s.ask(peer, ptrQuestion())
	s.record(s.r.remove(s.n))
	if len(s.sent) != 1 || len(s.sent[0].m.records) != 5 {
		t.Fatalf("sent %+v", s.sent)
	}
	for _, r := range s.sent[0].m.records {
		if r.ttl != 0 {
			t.Errorf("%v: TTL %d", r.typ, r.ttl)
		}
	}
	s.run(forever)
	if len(s.sent) != 1 {
		t.Error("it goes on answering")
	}
}

// A name of ours that another claims is defended (RFC 6762, 9), ever more rarely.
func TestConflict(t *testing.T) {
	srv := func(port uint16, target string) *message {
		return &message{response: true, records: []record{
			{name: "ab12." + chat, typ: dnsmessage.TypeSRV, ttl: 120, port: port, target: target},
		}}
	}
	s := newStage(t)
	if c := s.r.response(s.now, eth4, srv(7000, s.n.host)); c != nil {
		t.Error("our own record contests us")
	}
	if c := s.r.response(s.now, eth4, &message{response: true, records: []record{
		{name: s.n.host, typ: dnsmessage.TypeA, ttl: 120, addr: at("10.0.0.1")},
	}}); c != nil {
		t.Error("our own address contests us")
	}
	for range 10 * 60 {
		if c := s.r.response(s.now, eth4, srv(1, "other.local.")); len(c) != 1 {
			t.Fatal("a claim was not noticed")
		}
		s.run(100 * time.Millisecond)
	}
	if len(s.sent) < 3 || len(s.sent) > 8 {
		t.Errorf("defended %d times in a minute", len(s.sent))
	}
}

// A node that another says is gone announces itself anew, after the second goodbye and
// not for every one.
func TestGoodbyeInItsName(t *testing.T) {
	for name, r := range map[string]record{
		"PTR": {name: chat, typ: dnsmessage.TypePTR, target: "AB12." + chat},
		"SRV": {name: "ab12." + chat, typ: dnsmessage.TypeSRV, port: 1, target: "other.local."},
	} {
		s := newStage(t)
		begin := s.now
		for range 10 * 60 {
			if c := s.r.response(s.now, eth4, &message{response: true, records: []record{r}}); c != nil {
				t.Errorf("%s: a goodbye claims nothing", name)
			}
			if s.run(100 * time.Millisecond); len(s.sent) > 0 && s.now.Sub(begin) < defendAfter {
				t.Errorf("%s: it is announced while the other still says goodbye", name)
			}
		}
		if n := len(s.sent); n < 4 || n > 6*announcements+1 {
			t.Errorf("%s: %d announcements in a minute", name, n)
		}
		other := newStage(t)
		other.r.response(other.now, eth4, &message{response: true, records: []record{{name: chat, typ: dnsmessage.TypePTR, target: "ab13." + chat}}})
		if other.run(time.Minute); len(other.sent) > 0 {
			t.Error("the goodbye of another is answered")
		}
	}
}

// After a change of addresses the new ones are announced at once (RFC 6762, 8.4),
// on that interface alone.
func TestMove(t *testing.T) {
	s := newQuietStage(t)
	s.n.addrs[3] = []netip.Addr{at("192.168.0.1")}
	s.n.links = append(s.n.links, link{3, false})
	s.r.add(s.now, s.n)
	s.run(7100 * time.Millisecond) // the last one was 100 ms ago
	s.start, s.sent = s.now, nil
	s.r.move(s.now, s.n, map[int][]netip.Addr{2: {at("10.0.0.77")}, 3: s.n.addrs[3]}, s.n.links, never)
	s.run(forever)
	s.want(0, time.Second, 3*time.Second, 7*time.Second)
	for _, e := range s.sent {
		if e.link != eth4 || !slices.ContainsFunc(e.m.records, func(r record) bool { return r.addr == at("10.0.0.77") }) {
			t.Errorf("announced %+v on %+v", e.m.records, e.link)
		}
	}
	s.sent = nil
	s.r.move(s.now, s.n, map[int][]netip.Addr{}, nil, never)
	s.ask(peer, ptrQuestion())
	s.run(forever)
	s.want()
}

func TestWaitingIsBounded(t *testing.T) {
	s := newStage(t)
	for i := range 10 * maxWaiting {
		from := netip.AddrPortFrom(peer.Addr(), uint16(10000+i))
		q := ptrQuestion()
		q.id = uint16(i)
		s.ask(from, q)
		q.truncated = true
		s.r.query(s.now, eth4, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), Port), &q, 0)
	}
	if len(s.r.replies) > maxWaiting || len(s.r.holds) > maxWaiting || len(s.r.twins) > maxWaiting {
		t.Errorf("%d replies, %d holds, %d twins wait", len(s.r.replies), len(s.r.holds), len(s.r.twins))
	}
}
