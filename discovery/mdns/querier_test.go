package mdns

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// An asker is a querier with a clock and a record of what it asked.
type asker struct {
	t     *testing.T
	q     *querier
	known int
	heard bool
	start time.Time
	now   time.Time
	sent  []event
}

func newAsker(t *testing.T, links ...link) *asker {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	a := &asker{t: t, q: newQuerier(chat, fixed), start: now, now: now}
	a.q.restart(now, links, never)
	return a
}

func (a *asker) answers(int) (rs []record) {
	for i := range a.known {
		rs = append(rs, record{name: chat, typ: dnsmessage.TypePTR, ttl: otherTTL, target: fmt.Sprintf("%032X.%s", i, chat)})
	}
	return rs
}

func (a *asker) run(d time.Duration) {
	end := a.now.Add(d)
	for {
		for _, t := range a.q.advance(a.now, a.known, a.answers, func() uint16 { return 9 }, true, a.heard) {
			e := event{at: a.now.Sub(a.start), transmission: t}
			if err := parse(t.payload, &e.m); err != nil {
				a.t.Fatal(err)
			}
			a.sent = append(a.sent, e)
		}
		due := a.q.dueAt()
		if due.IsZero() || due.After(end) {
			a.now = end
			return
		}
		a.now = due
	}
}

func (a *asker) times() (ts []time.Duration) {
	for _, e := range a.sent {
		ts = append(ts, e.at)
	}
	return ts
}

// RFC 6762, 5.2: after 20 to 120 ms, then 1 s, 2 s, 4 s later, up to an hour.
func TestQuestionTimes(t *testing.T) {
	for _, test := range []struct{ random, first, stretch float64 }{{0, 0.02, 1}, {0.5, 0.07, 1.05}} {
		a := newAsker(t)
		a.q = newQuerier(chat, func() float64 { return test.random })
		a.q.restart(a.now, []link{eth4}, never)
		a.run(24 * time.Hour)
		at := test.first
		for i, got := range a.times() {
			if math.Abs(got.Seconds()-at) > 0.001 {
				t.Fatalf("question %d after %v, want %v s", i, got, at)
			}
			at += min(math.Pow(2, float64(i))*test.stretch, 3600)
		}
		if n := len(a.sent); n < 34 || n > 36 {
			t.Errorf("%d questions in a day", n)
		}
	}
}

func TestIntervalDoesNotOverflow(t *testing.T) {
	q := newQuerier(chat, fixed)
	for n := range 1000 {
		if i := q.interval(n); i <= 0 || i > time.Hour || n > 12 && i != time.Hour {
			t.Fatalf("interval %d is %v", n, i)
		}
	}
}

// The first question is a one-shot one (RFC 6762, 5.1) unless many are known. On an
// interface with both families it is asked by IPv6 a second later.
func TestFirstQuestion(t *testing.T) {
	for _, known := range []int{0, manyKnown - 1, manyKnown} {
		a := newAsker(t, eth4, eth6)
		a.known = known
		a.run(2 * time.Second)
		many := known >= manyKnown
		rounds := map[link]int{}
		for _, e := range a.sent {
			if n := len(e.m.records); n != known {
				t.Errorf("%d known: asked with %d known answers", known, n)
			}
			first := rounds[e.link] == 0
			rounds[e.link]++
			if oneShot := first && !many; e.oneShot != oneShot || oneShot == (e.m.id == 0) || e.m.questions[0].unicast != oneShot {
				t.Errorf("%d known, question %d: one-shot %v, ID %d", known, rounds[e.link], e.oneShot, e.m.id)
			}
			if late := e.at >= time.Second; first && late != e.link.v6 {
				t.Errorf("first asked on %v after %v", e.link, e.at)
			}
		}
		if rounds[eth4] != 2 || rounds[eth6] != 1 {
			t.Errorf("asked %v times", rounds)
		}
	}
}

// Who has been connected to by then does not ask for the first time.
func TestFirstQuestionIsSpared(t *testing.T) {
	a := newAsker(t, eth4)
	a.heard = true
	a.run(sparedTime)
	if len(a.sent) != 0 {
		t.Errorf("asked %d times in the first seconds", len(a.sent))
	}
	a.run(sparedTime)
	if len(a.sent) != 1 || a.sent[0].oneShot {
		t.Errorf("asked %d times", len(a.sent))
	}
	// A change of the network makes what is known doubtful.
	a.sent = nil
	a.q.restart(a.now, []link{eth4}, func(int) bool { return true })
	a.run(2 * time.Second)
	if len(a.sent) == 0 {
		t.Error("did not ask after a change")
	}
}

// RFC 6762, 7.2: known answers that do not fit follow in further packets.
func TestKnownAnswersInParts(t *testing.T) {
	a := newAsker(t, eth4)
	a.known = 500
	a.run(time.Second / 2)
	seen := map[string]bool{}
	for i, e := range a.sent {
		if len(e.payload) > maxSend {
			t.Errorf("a packet of %d bytes", len(e.payload))
		}
		if last := i == len(a.sent)-1; e.m.truncated == last {
			t.Errorf("packet %d of %d: TC %v", i, len(a.sent), e.m.truncated)
		}
		if (len(e.m.questions) == 1) != (i == 0) {
			t.Errorf("packet %d: %d questions", i, len(e.m.questions))
		}
		for _, r := range e.m.records {
			seen[r.target] = true
		}
	}
	if len(seen) != 500 || len(a.sent) > 20 {
		t.Errorf("%d known answers in %d packets", len(seen), len(a.sent))
	}
}

// RFC 6762, 7.3: another's question counts as ours if it is late enough and
// knows no more than we do.
func TestDuplicateQuestion(t *testing.T) {
	ptr := func(target string) record {
		return record{name: chat, typ: dnsmessage.TypePTR, ttl: otherTTL, target: target}
	}
	knows := func(key string) bool { return key == "ab12."+chat }
	// After 20 ms and 1.02 s, the next question would be at 3.02 s.
	for _, test := range []struct {
		name   string
		at     time.Duration
		m      message
		suffix *message // follows at once
		taken  bool
	}{
		{"second half", 2500 * time.Millisecond, ptrQuestion(), nil, true},
		{"first half", 1900 * time.Millisecond, ptrQuestion(), nil, false},
		{"knows what we know", 2500 * time.Millisecond, message{questions: ptrQuestion().questions, records: []record{ptr("AB12." + chat)}}, nil, true},
		{"knows more", 2500 * time.Millisecond, message{questions: ptrQuestion().questions, records: []record{ptr("CD." + chat)}}, nil, false},
		{"knows more, in parts", 2500 * time.Millisecond, message{truncated: true, questions: ptrQuestion().questions, records: []record{ptr("AB12." + chat)}},
			&message{records: []record{ptr("CD." + chat)}}, false},
		{"in parts", 2500 * time.Millisecond, message{truncated: true, questions: ptrQuestion().questions, records: []record{ptr("AB12." + chat)}},
			&message{}, true},
		{"for itself alone", 2500 * time.Millisecond, message{questions: []question{{chat, dnsmessage.TypePTR, true}}}, nil, false},
		{"another question", 2500 * time.Millisecond, message{questions: []question{{"_other._tcp.local.", dnsmessage.TypePTR, false}}}, nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newAsker(t, eth4)
			a.run(test.at)
			a.sent = nil
			a.q.heard(a.now, eth4, peer, &test.m, knows)
			if test.suffix != nil {
				a.q.heard(a.now, eth4, peer, test.suffix, knows)
			}
			a.run(3100*time.Millisecond - test.at)
			if taken := len(a.sent) == 0; taken != test.taken {
				t.Errorf("taken for ours: %v", taken)
			}
			a.run(time.Minute)
			if len(a.sent) == 0 {
				t.Error("never asked again")
			}
		})
	}
}

// Others that ask first, all the time, put our own question off but not for ever
// if they might know more.
func TestDuplicateQuestionEachLink(t *testing.T) {
	a := newAsker(t, eth4, link{1, false})
	a.run(2500 * time.Millisecond)
	a.sent = nil
	q := ptrQuestion()
	a.q.heard(a.now, eth4, peer, &q, notOwn)
	a.run(time.Second)
	if len(a.sent) != 1 || a.sent[0].link.index != 1 {
		t.Errorf("asked %+v, want on interface 1 alone", a.sent)
	}
}

func TestRestart(t *testing.T) {
	a := newAsker(t, eth4, link{3, false})
	a.run(time.Hour)
	a.start, a.sent = a.now, nil
	a.q.restart(a.now, []link{eth4, {4, false}}, func(index int) bool { return index == 2 })
	a.run(500 * time.Millisecond)
	var on []int
	for _, e := range a.sent {
		on = append(on, e.link.index)
	}
	slices.Sort(on)
	if !slices.Equal(on, []int{2, 4}) {
		t.Errorf("asked anew on %v", on)
	}
	// An interface that comes and goes does not make it ask more than once a
	// second.
	a.start, a.sent = a.now, nil
	for range 100 {
		a.q.restart(a.now, []link{eth4}, always)
		a.run(100 * time.Millisecond)
	}
	if n := len(a.sent); n < 3 || n > 11 {
		t.Errorf("asked %d times in 10 s", n)
	}
}

func TestRefreshAsksSoon(t *testing.T) {
	a := newAsker(t, eth4)
	a.run(10 * time.Hour)
	a.start, a.sent = a.now, nil
	a.q.refresh(a.now, 2)
	a.run(200 * time.Millisecond)
	if len(a.sent) != 1 {
		t.Errorf("asked %d times", len(a.sent))
	}
}

// An instance is asked for twice, unless it answers or another asks as well.
func TestAskForInstance(t *testing.T) {
	setup := func() *asker {
		a := newAsker(t, eth4)
		a.run(time.Hour)
		a.start, a.sent = a.now, nil
		a.q.ask(a.now, "cd."+chat, maxAsks)
		a.q.ask(a.now, "cd."+chat, maxAsks)
		return a
	}
	a := setup()
	a.run(10 * time.Second)
	const ms = time.Millisecond
	if got := a.times(); !slices.Equal(got, []time.Duration{20 * ms, 1020 * ms}) {
		t.Errorf("asked at %v", got)
	}
	a = setup()
	a.run(500 * ms)
	a.q.answered("cd." + chat)
	a.run(10 * time.Second)
	if len(a.sent) != 1 {
		t.Errorf("asked %d times although answered", len(a.sent))
	}
	a = setup()
	a.q.heard(a.now, eth4, peer, &message{questions: []question{{name: "cd." + chat, typ: typeANY}}}, notOwn)
	a.run(10 * time.Second)
	if len(a.sent) != 1 {
		t.Errorf("asked %d times besides another", len(a.sent))
	}
	for i := range 10 * maxAsks {
		a.q.ask(a.now, fmt.Sprintf("%032x.%s", i, chat), maxAsks)
	}
	if len(a.q.asks) > maxAsks {
		t.Errorf("%d instances asked for at a time", len(a.q.asks))
	}
	a.sent = nil
	a.run(10 * time.Second)
	for _, e := range a.sent {
		if len(e.payload) > maxSend {
			t.Errorf("a packet of %d bytes", len(e.payload))
		}
	}
}
