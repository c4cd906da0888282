package mdns

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// The first question waits 20 to 120 ms (RFC 6762, 5.2), so that hosts
	// that start together do not ask together and what was announced in the
	// meantime is known already.
	firstDelay  = 20 * time.Millisecond
	firstSpread = 100 * time.Millisecond

	// Then it is asked after 1 s, 2 s, 4 s, up to an hour (RFC 6762, 5.2).
	firstInterval = time.Second
	maxInterval   = time.Hour
	// intervalSpread varies the intervals of one node against another's, in
	// parts, without breaking the doubling.
	intervalSpread = 0.1

	// Who has been found by others before the first question asks at random
	// some time later, as if it had asked that often before.
	sparedTime   = 4 * time.Second
	sparedRounds = 3

	// manyKnown is how many known instances make the first question a
	// multicast one. Below, it is a one-shot question (RFC 6762, 5.1) with
	// replies to its sender alone, which is cheapest for one newcomer among
	// many. Who has heard this many before asking is one of many that start
	// at once: they share the answers, which the announcements of their
	// second second carry anyway.
	manyKnown = 10

	// An instance that is in doubt or of which too little is known is asked
	// for this often (RFC 6762, 10.4 asks for two or more).
	instanceAsks = 2
	// maxAsks bounds the instances asked for at a time because a stranger has
	// named them. Those in doubt have as much room as the cache: unasked, they
	// would be dropped.
	maxAsks = 128
)

// A querier asks for the instances of one service type on all links
// (RFC 6762, 5). It is pure: time and others' questions go in, questions of its
// own come out.
type querier struct {
	service string
	random  func() float64 // in [0, 1)
	stretch float64        // of the intervals
	links   map[link]*asking
	asks    map[string]*ask // by folded full name
}

// asking is the state of the continuous question on a link.
type asking struct {
	round int
	due   time.Time
	last  time.Time // when it was asked last, by us or for us
	anew  bool      // what is known may be out of date

	// The question of another that was taken for ours, until it is certain
	// that it knew nothing that we do not (RFC 6762, 7.2 and 7.3).
	taken    netip.AddrPort
	previous asking0
}

// asking0 is what to return to when a question should not have been taken.
type asking0 struct {
	round     int
	due, last time.Time
}

// ask is the question for one instance.
type ask struct {
	left int
	due  time.Time
}

func newQuerier(service string, random func() float64) *querier {
	return &querier{
		service: service, random: random, stretch: 1 + intervalSpread*random(),
		links: map[link]*asking{}, asks: map[string]*ask{},
	}
}

// restart begins anew on the links for which changed says so, and ends on those
// that are no longer there.
func (q *querier) restart(now time.Time, links []link, changed func(index int) bool) {
	for l := range q.links {
		if !slices.Contains(links, l) {
			delete(q.links, l)
		}
	}
	due := now.Add(firstDelay + time.Duration(q.random()*float64(firstSpread)))
	for _, l := range links {
		a := q.links[l]
		if a != nil && !changed(l.index) {
			continue
		}
		fresh := &asking{due: due, anew: changed(l.index)}
		if l.v6 && slices.Contains(links, link{l.index, false}) {
			// Most of the answers come by IPv4.
			fresh.due = due.Add(firstInterval)
		}
		if a != nil && !a.last.IsZero() {
			// Interfaces may come and go quickly.
			fresh.last = a.last
			if earliest := a.last.Add(firstInterval); earliest.After(fresh.due) {
				fresh.due = earliest
			}
		}
		q.links[l] = fresh
	}
}

// refresh asks soon on an interface, because records are about to expire, or another
// node has use for them.
func (q *querier) refresh(now time.Time, index int) {
	for l, a := range inOrder(q.links, link.compare) {
		if t := now.Add(time.Duration(q.random() * float64(firstSpread))); l.index == index && a.round > 0 && t.Before(a.due) {
			if earliest := a.last.Add(firstInterval); t.Before(earliest) {
				t = earliest
			}
			a.due = t
		}
	}
}

// interval returns the time after the n-th question. n has no bound, a shift has.
func (q *querier) interval(n int) time.Duration {
	if n > 12 {
		return maxInterval
	}
	return min(time.Duration(float64(firstInterval<<n)*q.stretch), maxInterval)
}

// ask asks for an instance after a short delay, if fewer than most are asked for.
func (q *querier) ask(now time.Time, key string, most int) {
	if q.asks[key] != nil || len(q.asks) >= most {
		return
	}
	q.asks[key] = &ask{left: instanceAsks, due: now.Add(firstDelay + time.Duration(q.random()*float64(firstSpread)))}
}

// answered ends the question for an instance.
func (q *querier) answered(key string) { delete(q.asks, key) }

// heard takes a multicast question of another host: ours need not be asked if it
// would bring nothing more (RFC 6762, 7.3). known says whether an instance, by
// its folded name, is among what we know on the link.
//
// It counts only in the second half of our interval: taking any earlier one
// would put ours off again and again, and with it the answers that were lost on
// the way to us alone.
func (q *querier) heard(now time.Time, l link, src netip.AddrPort, m *message, known func(string) bool) {
	for _, o := range m.questions {
		if a := q.asks[o.name]; a != nil && !o.unicast && now.Before(a.due) {
			q.asked(now, o.name, a)
		}
	}
	a := q.links[l]
	if a == nil {
		return
	}
	more := false
	for i := range m.records {
		r := &m.records[i]
		if r.section == inAnswer && r.typ == dnsmessage.TypePTR && r.name == q.service && !known(m.names.fold(r.target)) {
			more = true
		}
	}
	if len(m.questions) == 0 {
		if more && a.taken == src {
			a.round, a.due, a.last = a.previous.round, a.previous.due, a.previous.last
			a.taken = netip.AddrPort{}
		}
		return
	}
	same := slices.ContainsFunc(m.questions, func(o question) bool {
		return o.name == q.service && o.typ == dnsmessage.TypePTR && !o.unicast
	})
	if !same || more || a.round == 0 || now.Before(a.last.Add(a.due.Sub(a.last)/2)) {
		return
	}
	a.previous = asking0{a.round, a.due, a.last}
	a.taken = netip.AddrPort{}
	if m.truncated {
		a.taken = src
	}
	q.next(now, a)
	// Let another one be the first to ask the next time.
	a.due = a.due.Add(time.Duration(q.random() * intervalSpread * float64(a.due.Sub(now))))
}

func (q *querier) next(now time.Time, a *asking) {
	a.last = now
	a.due = now.Add(q.interval(a.round))
	a.round++
}

func (q *querier) asked(now time.Time, key string, a *ask) {
	if a.left--; a.left == 0 {
		delete(q.asks, key)
	}
	// Those who have heard it do not ask together with us the next time.
	a.due = now.Add(firstInterval + time.Duration(q.random()*float64(firstSpread)))
}

// advance returns the questions that are due. known is how many instances are
// known, answers are the known answers on an interface, oneShot returns an ID
// for one-shot questions and multicasting is false when those are all that can
// be asked.
//
// heard says that others have heard our announcement and have connected to us by
// now. Then questions would bring little that their announcements have not brought or
// will not bring: where many start together they would all ask at the worst of times.
// A few seconds later one of them asks for all (RFC 6762, 7.3).
func (q *querier) advance(now time.Time, known int, answers func(index int) []record, oneShot func() uint16, multicasting, heard bool) []transmission {
	var out []transmission
	ptr := question{name: q.service, typ: dnsmessage.TypePTR}
	var id uint16
	for l, a := range inOrder(q.links, link.compare) {
		if now.Before(a.due) {
			continue
		}
		if a.round == 0 && heard && !a.anew && multicasting {
			a.round, a.last = sparedRounds, now
			a.due = now.Add(sparedTime + time.Duration(q.random()*float64(sparedTime)))
			continue
		}
		if a.round == 0 && known < manyKnown || !multicasting {
			// The ID is the same on all links, so that whoever hears the
			// question twice can tell. It asks for a unicast reply to
			// show that it comes from an mDNS engine.
			if id == 0 {
				id = oneShot()
			}
			p := ptr
			p.unicast = true
			m := message{id: id, questions: []question{p}}
			if !a.anew {
				m.records = fitting(p, answers(l.index))
			}
			if b, err := build(&m); err == nil {
				out = append(out, transmission{link: l, payload: b, kind: packetOneShot, oneShot: true})
			}
		} else {
			var known []record
			if !a.anew {
				known = answers(l.index)
			}
			for _, b := range packQuery(ptr, known) {
				out = append(out, transmission{link: l, payload: b, kind: packetQuery})
			}
		}
		a.taken, a.anew = netip.AddrPort{}, false
		q.next(now, a)
	}
	var single message
	for key, a := range inOrder(q.asks, strings.Compare) {
		if now.Before(a.due) {
			continue
		}
		single.questions = append(single.questions, question{name: key, typ: typeANY})
		q.asked(now, key, a)
		if len(single.questions) == maxQuestions {
			break
		}
	}
	if len(single.questions) > 0 && multicasting {
		if b, err := build(&single); err == nil {
			for l := range inOrder(q.links, link.compare) {
				out = append(out, transmission{link: l, payload: b, kind: packetQuery})
			}
		}
	}
	return out
}

// maxQuestions keeps a packet of questions for instances, of up to 85 bytes each
// and a common end, within its limit.
const maxQuestions = 16

// next returns when advance has work.
func (q *querier) dueAt() (t time.Time) {
	for _, a := range q.links {
		if t.IsZero() || a.due.Before(t) {
			t = a.due
		}
	}
	for _, a := range q.asks {
		if t.IsZero() || a.due.Before(t) {
			t = a.due
		}
	}
	return t
}

// packQuery makes the packets of a question with its known answers: if they do
// not fit into one, all but the last say that there are more (RFC 6762, 7.2).
func packQuery(q question, answers []record) [][]byte {
	var out [][]byte
	m := message{questions: []question{q}}
	size := headerSize + len(q.name) + 1 + 4
	flush := func(more bool) {
		m.truncated = more
		if b, err := build(&m); err == nil {
			out = append(out, b)
		}
		// The service type is spelt out once more in the next packet.
		m, size = message{}, headerSize+len(q.name)+1
	}
	for _, r := range answers {
		n := answerSize(r)
		if size+n > maxSend {
			flush(true)
		}
		m.records = append(m.records, r)
		size += n
	}
	flush(false)
	return out
}

// fitting returns as many known answers as fit into one packet with the question.
func fitting(q question, answers []record) []record {
	size := headerSize + len(q.name) + 1 + 4
	for i, r := range answers {
		if size += answerSize(r); size > maxSend {
			return answers[:i]
		}
	}
	return answers
}

// answerSize is what a known answer takes: its owner is a pointer, its target a
// label and a pointer.
func answerSize(r record) int {
	label, _, _ := splitInstance(r.target)
	return 2 + 10 + 1 + len(label) + 2
}
