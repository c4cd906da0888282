package mdns

import (
	"hash/maphash"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Lives of records in seconds (RFC 6762, 10): those that name a host are short.
const (
	hostTTL  = 120
	otherTTL = 4500
	// legacyTTL is the most a resolver that is not an mDNS one is told
	// (RFC 6762, 6.7).
	legacyTTL = 10
)

const (
	// announcements are sent 1, 2 and 4 s apart: at 0, 1, 3 and 7 s. RFC
	// 6762, 8.3 asks for two to eight, doubling. Four, because a node that
	// hears none of them has to wait for its own next question.
	//
	// There is no probing before them (8.1 has it as a MUST, and it takes
	// 750 ms). The names are random, so that it could only ever meet two
	// nodes with one ID, which the TCP handshake detects for certain.
	announcements = 4

	// sharedDelay and sharedSpread keep answers to one question apart when
	// several hosts have one: 20 to 120 ms (RFC 6762, 6).
	sharedDelay  = 20 * time.Millisecond
	sharedSpread = 100 * time.Millisecond

	// moreDelay and moreSpread wait for the rest of the known answers of a
	// question with the TC bit: 400 to 500 ms (RFC 6762, 7.2). Each further
	// part with TC extends it, up to moreLimit.
	moreDelay  = 400 * time.Millisecond
	moreSpread = 100 * time.Millisecond
	moreLimit  = 3 * time.Second

	// againAfter is the time between two multicasts of one record on a link,
	// and defendAfter the same when a probe has to be answered (RFC 6762, 6).
	againAfter  = time.Second
	defendAfter = 250 * time.Millisecond

	// maxConflictGap bounds how rarely a contested name is defended. Two
	// nodes that keep one name would otherwise answer each other for ever
	// (RFC 6762, 9 has the loser rename itself; an ID cannot change).
	maxConflictGap = time.Hour

	// rescueGap is how often a node announces itself anew because somebody has
	// said goodbye in its name: as long as all of its announcements take.
	rescueGap = 10 * time.Second

	// maxWaiting bounds the replies that wait for their time, and the
	// questions that wait for known answers.
	maxWaiting = 256

	// twinWindow is the time in which the same one-shot question, heard over
	// the other family of the same interface, is not answered again.
	twinWindow = 500 * time.Millisecond
)

// kinds is a set of record kinds that a node has.
type kinds uint8

const (
	kindPTR kinds = 1 << iota
	kindSRV
	kindTXT
	kindA
	kindAAAA
	kindEnum // service type enumeration
	kindNSECInstance
	kindNSECHost

	kindAddrs   = kindA | kindAAAA
	kindService = kindPTR | kindSRV | kindTXT | kindAddrs
	kindShared  = kindPTR | kindEnum
	kindCount   = 8
)

// A node is what is announced of a node of this process.
type node struct {
	service  string // folded
	instance string // as shown
	key      string // instance, folded; set by add
	host     string
	port     uint16
	txt      []string
	addrs    map[int][]netip.Addr // by interface; without zones
	links    []link

	sent     map[link]*[kindCount]time.Time
	pending  map[link]*pending
	bursts   map[link]*burst
	defences int
	defended time.Time
	rescued  map[link]time.Time // when it was announced anew
}

// pending are the records to be multicast on a link.
type pending struct {
	kinds   kinds
	due     time.Time
	defence bool
}

// secondFamily is how much later than by IPv4 a node announces itself by IPv6 on an
// interface that has both: nearly everybody has heard it by then and need not be
// woken twice. RFC 6762, 20 asks that both are served, not that it be at once.
const secondFamily = 250 * time.Millisecond

// crowdRest is how much later still it does so if it is one of many already: that one by
// one all others are woken again slows their start, and somebody that hears IPv6 alone
// has likely been met by one of them.
const crowdRest = 5 * time.Second

// A burst is a series of announcements on a link.
type burst struct {
	done   int
	due    time.Time
	second bool // there is IPv4 beside it, and how many others there are was not asked
}

// A reply is to be sent to one host.
type reply struct {
	due       time.Time
	link      link
	to        netip.AddrPort
	legacy    bool
	fullTTL   bool
	id        uint16
	questions []question
	wants     []want
}

type want struct {
	node  *node
	kinds kinds
}

// A hold is a question whose known answers are not complete.
type hold struct {
	link  link
	since time.Time
	due   time.Time
	wants []want
}

type holdKey struct {
	link link
	src  netip.AddrPort
}

// A transmission is a packet to be sent.
type transmission struct {
	link    link
	to      netip.AddrPort // not valid: to the group
	payload []byte
	kind    packetKind
	oneShot bool // from a port of its own
}

// A responder answers for the nodes of this process and announces them
// (RFC 6762, 6 and 8). It is pure: time and messages go in, packets come out.
type responder struct {
	random  func() float64 // in [0, 1)
	crowded func(*node) bool
	nodes   []*node
	replies []*reply
	holds   map[holdKey]*hold
	twins   map[uint64]twin
}

// A twin is a one-shot question heard a moment ago.
type twin struct {
	link link
	at   time.Time
}

// newResponder returns a responder without nodes. crowded tells whether there are many
// others beside a node.
func newResponder(random func() float64, crowded func(*node) bool) *responder {
	return &responder{random: random, crowded: crowded, holds: map[holdKey]*hold{}, twins: map[uint64]twin{}}
}

// add begins to announce and to answer for a node.
func (r *responder) add(now time.Time, n *node) {
	n.key = fold(n.instance)
	n.sent = map[link]*[kindCount]time.Time{}
	n.pending = map[link]*pending{}
	n.bursts = map[link]*burst{}
	n.rescued = map[link]time.Time{}
	r.nodes = append(r.nodes, n)
	for _, l := range n.links {
		n.burst(now, l)
	}
}

// burst begins to announce n on a link.
func (n *node) burst(now time.Time, l link) {
	second := l.v6 && slices.Contains(n.links, link{l.index, false})
	if second {
		now = now.Add(secondFamily)
	}
	n.bursts[l] = &burst{due: now, second: second}
}

// remove ends that and returns the goodbye (RFC 6762, 10.1).
func (r *responder) remove(n *node) []transmission {
	r.nodes = slices.DeleteFunc(r.nodes, func(o *node) bool { return o == n })
	for _, p := range r.replies {
		p.wants = slices.DeleteFunc(p.wants, func(w want) bool { return w.node == n })
	}
	for _, h := range r.holds {
		h.wants = slices.DeleteFunc(h.wants, func(w want) bool { return w.node == n })
	}
	var out []transmission
	for _, l := range n.links {
		rs := n.records(kindService, inAnswer, l.index)
		for i := range rs {
			rs[i].ttl = 0
		}
		out = append(out, multicast(l, packetGoodbye, rs)...)
	}
	return out
}

// move gives a node other addresses and links, and announces it on the interfaces
// where it has others than before or for which changed says so, at once and as if
// the records were new (RFC 6762, 8.4).
func (r *responder) move(now time.Time, n *node, addrs map[int][]netip.Addr, links []link, changed func(index int) bool) {
	before := n.addrs
	n.addrs, n.links = addrs, links
	for l := range n.bursts {
		if !slices.Contains(n.links, l) {
			delete(n.bursts, l)
			delete(n.rescued, l)
		}
	}
	for l := range n.pending {
		if !slices.Contains(n.links, l) {
			delete(n.pending, l)
		}
	}
	for l := range n.sent {
		// Other addresses are other records: they need not wait a second.
		if !slices.Contains(n.links, l) || !slices.Equal(before[l.index], addrs[l.index]) {
			delete(n.sent, l)
		}
	}
	for _, l := range n.links {
		if !slices.Equal(before[l.index], addrs[l.index]) || changed(l.index) {
			n.burst(now, l)
		}
	}
}

// query takes a question from src. payload is the packet it came in.
func (r *responder) query(now time.Time, l link, src netip.AddrPort, m *message, payload uint64) {
	key := holdKey{l, src}
	if len(m.questions) == 0 {
		// More known answers (RFC 6762, 7.2). Several programs of a host
		// share port and address (15.2): what one of them knows may keep
		// an answer from another, until the next question.
		if h := r.holds[key]; h != nil {
			for i := range h.wants {
				h.wants[i].kinds &^= h.wants[i].node.known(m, h.wants[i].kinds, l.index)
			}
			if m.truncated {
				r.extend(now, h)
			}
		}
		return
	}
	legacy := src.Port() != Port
	var all, unicast []want
	var probed []want
	shared, fullTTL := false, legacy
	for _, n := range r.nodes {
		if _, ok := n.addrs[l.index]; !ok {
			continue
		}
		var ks, uks, pks kinds
		for _, q := range m.questions {
			k := n.match(q, l.index)
			if k == 0 {
				continue
			}
			fullTTL = fullTTL && q.unicast
			switch {
			case !legacy && q.typ == typeANY && n.contested(m):
				pks |= k
			case legacy || q.unicast:
				uks |= k
			default:
				ks |= k
			}
		}
		if ks|uks|pks == 0 {
			continue
		}
		known := n.known(m, ks|uks, l.index)
		ks &^= known
		uks &^= known
		if !legacy && uks != 0 {
			// What was not multicast for a quarter of its life is
			// multicast rather than sent to one (RFC 6762, 5.4).
			stale := n.stale(now, l, uks)
			ks |= stale
			uks &^= stale
		}
		shared = shared || (ks|uks)&kindShared != 0
		if ks != 0 {
			all = append(all, want{n, ks})
		}
		if uks != 0 {
			unicast = append(unicast, want{n, uks})
		}
		if pks != 0 {
			probed = append(probed, want{n, pks})
		}
	}
	due := now
	if shared {
		due = now.Add(sharedDelay + r.spread(sharedSpread))
	}
	for _, w := range probed {
		w.node.enqueue(l, w.kinds, now, true)
	}
	if len(unicast) > 0 && len(r.replies) < maxWaiting && !(legacy && r.twin(now, l, payload)) {
		p := &reply{due: due, link: l, to: src, legacy: legacy, fullTTL: fullTTL, wants: unicast}
		if legacy {
			p.id, p.questions = m.id, slices.Clone(m.questions)
		}
		r.replies = append(r.replies, p)
	}
	if m.truncated && !legacy {
		r.hold(now, key, all)
		return
	}
	for _, w := range all {
		w.node.enqueue(l, w.kinds, due, false)
	}
}

// hold keeps answers back until all known answers of who asked are there. If there are
// some already, another program of the host may have asked for those: they stay.
func (r *responder) hold(now time.Time, key holdKey, wants []want) {
	h := r.holds[key]
	if h == nil {
		if len(r.holds) == maxWaiting {
			return
		}
		h = &hold{link: key.link, since: now}
		r.holds[key] = h
	}
	for _, w := range wants {
		if n := slices.IndexFunc(h.wants, func(o want) bool { return o.node == w.node }); n >= 0 {
			h.wants[n].kinds |= w.kinds
		} else {
			h.wants = append(h.wants, w)
		}
	}
	r.extend(now, h)
}

// extend waits for the next part of a question's known answers, but not for ever.
func (r *responder) extend(now time.Time, h *hold) {
	if now.Sub(h.since) < moreLimit {
		h.due = now.Add(moreDelay + r.spread(moreSpread))
	}
}

// twin reports whether the same one-shot question came in over the other family
// just now: a host asks both ways with one random ID, and one reply does.
func (r *responder) twin(now time.Time, l link, payload uint64) bool {
	if t, ok := r.twins[payload]; ok && t.link == (link{l.index, !l.v6}) && now.Sub(t.at) < twinWindow {
		return true
	}
	for k, t := range r.twins {
		if now.Sub(t.at) >= twinWindow {
			delete(r.twins, k)
		}
	}
	if len(r.twins) < maxWaiting {
		r.twins[payload] = twin{l, now}
	}
	return false
}

// response takes what another responder multicast: it may spare us an answer
// (RFC 6762, 7.4), say that a node of ours is gone, or claim a name of ours (9). It
// returns the nodes whose name is claimed.
func (r *responder) response(now time.Time, l link, m *message) (contested []*node) {
	for _, n := range r.nodes {
		if p := n.pending[l]; p != nil && !p.defence {
			if p.kinds &^= n.known(m, p.kinds&kindShared, l.index); p.kinds == 0 {
				delete(n.pending, l)
			}
		}
		if slices.Contains(n.links, l) && n.dismissed(m) {
			n.rescue(now, l)
		}
		if !n.contested(m) {
			continue
		}
		contested = append(contested, n)
		gap := min(againAfter<<min(n.defences, 12), maxConflictGap)
		if !n.defended.IsZero() && now.Sub(n.defended) < gap {
			continue
		}
		if now.Sub(n.defended) > 2*gap {
			n.defences = 0
		}
		n.defences++
		n.defended = now
		n.enqueue(l, kindService&^kindPTR, now, true)
	}
	return contested
}

func (r *responder) spread(d time.Duration) time.Duration {
	return time.Duration(r.random() * float64(d))
}

// advance returns what is to be sent by now.
func (r *responder) advance(now time.Time) []transmission {
	var out []transmission
	for key, h := range r.holds {
		if !now.Before(h.due) {
			delete(r.holds, key)
			for _, w := range h.wants {
				if w.kinds != 0 {
					w.node.enqueue(h.link, w.kinds, now, false)
				}
			}
		}
	}
	for _, n := range r.nodes {
		for _, l := range n.links { // not in random order: the first is heard first
			if b := n.bursts[l]; b != nil && !now.Before(b.due) {
				if b.second && r.crowded(n) {
					b.due, b.second = now.Add(crowdRest), false
					continue
				}
				b.second = false
				out = append(out, n.announce(now, l, b)...)
			}
		}
	}
	out = append(out, r.multicasts(now)...)
	r.replies = slices.DeleteFunc(r.replies, func(p *reply) bool {
		if now.Before(p.due) {
			return false
		}
		out = append(out, p.transmissions()...)
		return true
	})
	return out
}

// rescue announces a node anew on a link where somebody has said that it is gone.
func (n *node) rescue(now time.Time, l link) {
	at := now.Add(defendAfter) // by then it has been said twice
	if last, ok := n.rescued[l]; ok && now.Sub(last) < rescueGap {
		if n.bursts[l] != nil {
			return // it is being announced
		}
		at = last.Add(rescueGap)
	}
	n.rescued[l] = at
	n.burst(at, l)
}

// announce multicasts all of a node's records on a link and plans the next time.
func (n *node) announce(now time.Time, l link, b *burst) []transmission {
	if ready := n.allowed(l, kindService, againAfter); ready.After(now) {
		b.due = ready
		return nil
	}
	if b.done++; b.done == announcements {
		delete(n.bursts, l)
	} else {
		b.due = now.Add(time.Second << (b.done - 1))
	}
	n.mark(now, l, kindService)
	if p := n.pending[l]; p != nil {
		if p.kinds &^= kindService; p.kinds == 0 {
			delete(n.pending, l)
		}
	}
	return multicast(l, packetAnnouncement, n.records(kindService, inAnswer, l.index))
}

// multicasts collects the pending answers that are due, of all nodes of a link in
// as few packets as possible.
func (r *responder) multicasts(now time.Time) []transmission {
	type collected struct{ answers, extra []record }
	var order []link
	byLink := map[link]*collected{}
	for _, n := range r.nodes {
		for l, p := range inOrder(n.pending, link.compare) {
			if now.Before(p.due) {
				continue
			}
			gap := againAfter
			if p.defence {
				gap = defendAfter
			}
			var ready kinds
			var later time.Time
			for k := kinds(1); k != 0; k <<= 1 {
				if p.kinds&k == 0 {
					continue
				}
				if t := n.allowed(l, k, gap); !t.After(now) {
					ready |= k
				} else if later.IsZero() || t.Before(later) {
					later = t
				}
			}
			if p.kinds &^= ready; p.kinds == 0 {
				delete(n.pending, l)
			} else {
				p.due = later
			}
			if ready == 0 {
				continue
			}
			// What goes along is not worth a wait (RFC 6763, 12).
			extra := along(ready)
			for k := kinds(1); k != 0; k <<= 1 {
				if extra&k != 0 && n.allowed(l, k, againAfter).After(now) {
					extra &^= k
				}
			}
			n.mark(now, l, ready|extra)
			c := byLink[l]
			if c == nil {
				c = &collected{}
				byLink[l] = c
				order = append(order, l)
			}
			c.answers = append(c.answers, n.records(ready, inAnswer, l.index)...)
			c.extra = append(c.extra, n.records(extra, inAdditional, l.index)...)
		}
	}
	var out []transmission
	for _, l := range order {
		c := byLink[l]
		out = append(out, multicast(l, packetAnswer, append(dedupe(c.answers), c.extra...))...)
	}
	return out
}

// transmissions makes the packets of a reply. A legacy one repeats ID and
// questions, does not speak of cache flushing and is not to be kept for long
// (RFC 6762, 6.7). A one-shot question that asks for a unicast reply all the same
// is no legacy resolver's but an mDNS engine's, such as ours: it is told the
// records' true life, so that it need not ask again for what it knows.
func (p *reply) transmissions() []transmission {
	var answers, extra []record
	for _, w := range p.wants {
		answers = append(answers, w.node.records(w.kinds, inAnswer, p.link.index)...)
		extra = append(extra, w.node.records(along(w.kinds), inAdditional, p.link.index)...)
	}
	if len(answers) == 0 {
		return nil
	}
	rs := append(dedupe(answers), extra...)
	if p.legacy {
		for i := range rs {
			rs[i].unique = false
			if !p.fullTTL {
				rs[i].ttl = min(rs[i].ttl, legacyTTL)
			}
		}
		for i := range p.questions {
			p.questions[i].unicast = false
		}
	}
	var out []transmission
	for _, b := range pack(message{id: p.id, response: true, questions: p.questions}, rs) {
		out = append(out, transmission{link: p.link, to: p.to, payload: b, kind: packetReply})
	}
	return out
}

// next returns when advance has work.
func (r *responder) next() (t time.Time) {
	first := func(d time.Time) {
		if t.IsZero() || d.Before(t) {
			t = d
		}
	}
	for _, n := range r.nodes {
		for _, b := range n.bursts {
			first(b.due)
		}
		for _, p := range n.pending {
			first(p.due)
		}
	}
	for _, p := range r.replies {
		first(p.due)
	}
	for _, h := range r.holds {
		first(h.due)
	}
	return t
}

// match returns which of the node's records a question asks for.
func (n *node) match(q question, index int) kinds {
	switch q.name {
	case n.service:
		if q.typ == dnsmessage.TypePTR || q.typ == typeANY {
			return kindPTR
		}
	case enumeration:
		if q.typ == dnsmessage.TypePTR || q.typ == typeANY {
			return kindEnum
		}
	case n.key:
		switch q.typ {
		case dnsmessage.TypeSRV:
			return kindSRV
		case dnsmessage.TypeTXT:
			return kindTXT
		case typeANY:
			return kindSRV | kindTXT
		default:
			return kindNSECInstance
		}
	case n.host:
		has := n.hasAddrs(index)
		switch q.typ {
		case dnsmessage.TypeA:
			if has&kindA != 0 {
				return kindA
			}
		case dnsmessage.TypeAAAA:
			if has&kindAAAA != 0 {
				return kindAAAA
			}
		case typeANY:
			return has
		}
		return kindNSECHost // RFC 6762, 6.1
	}
	return 0
}

// along returns what a requester wants next (RFC 6763, 12).
func along(k kinds) kinds {
	var extra kinds
	if k&kindPTR != 0 {
		extra |= kindSRV | kindTXT | kindAddrs
	}
	if k&(kindSRV|kindAddrs) != 0 {
		extra |= kindAddrs
	}
	return extra &^ k
}

func (n *node) hasAddrs(index int) (k kinds) {
	for _, a := range n.addrs[index] {
		if a.Is4() {
			k |= kindA
		} else {
			k |= kindAAAA
		}
	}
	return k
}

// records returns the node's records of some kinds for an interface. Only PTR
// records are shared; the others flush caches (RFC 6762, 10.2).
func (n *node) records(k kinds, s section, index int) []record {
	rs := make([]record, 0, 4+len(n.addrs[index]))
	if k&kindEnum != 0 {
		rs = append(rs, record{name: enumeration, typ: dnsmessage.TypePTR, section: s, ttl: otherTTL, target: n.service})
	}
	if k&kindPTR != 0 {
		rs = append(rs, record{name: n.service, typ: dnsmessage.TypePTR, section: s, ttl: otherTTL, target: n.instance})
	}
	if k&kindSRV != 0 {
		rs = append(rs, record{name: n.instance, typ: dnsmessage.TypeSRV, section: s, unique: true, ttl: hostTTL, port: n.port, target: n.host})
	}
	if k&kindTXT != 0 {
		rs = append(rs, record{name: n.instance, typ: dnsmessage.TypeTXT, section: s, unique: true, ttl: otherTTL, txt: n.txt})
	}
	for _, a := range n.addrs[index] {
		if a.Is4() && k&kindA != 0 {
			rs = append(rs, record{name: n.host, typ: dnsmessage.TypeA, section: s, unique: true, ttl: hostTTL, addr: a})
		} else if a.Is6() && k&kindAAAA != 0 {
			rs = append(rs, record{name: n.host, typ: dnsmessage.TypeAAAA, section: s, unique: true, ttl: hostTTL, addr: a})
		}
	}
	if k&kindNSECInstance != 0 {
		rs = append(rs, record{name: n.instance, typ: typeNSEC, section: s, unique: true, ttl: hostTTL,
			has: []dnsmessage.Type{dnsmessage.TypeTXT, dnsmessage.TypeSRV}})
	}
	if k&kindNSECHost != 0 {
		var has []dnsmessage.Type
		if n.hasAddrs(index)&kindA != 0 {
			has = append(has, dnsmessage.TypeA)
		}
		if n.hasAddrs(index)&kindAAAA != 0 {
			has = append(has, dnsmessage.TypeAAAA)
		}
		rs = append(rs, record{name: n.host, typ: typeNSEC, section: s, unique: true, ttl: hostTTL, has: has})
	}
	return rs
}

// known returns which of the node's records of some kinds are among a message's
// answers with at least half of their life ahead (RFC 6762, 7.1).
func (n *node) known(m *message, k kinds, index int) (found kinds) {
	if k == 0 {
		return 0
	}
	for one := kinds(1); one != 0; one <<= 1 {
		if k&one == 0 || one&(kindNSECHost|kindNSECInstance) != 0 {
			continue
		}
		all := true
		for _, own := range n.records(one, inAnswer, index) {
			all = all && slices.ContainsFunc(m.records, func(r record) bool {
				return r.section == inAnswer && r.ttl >= own.ttl/2 && r.same(&own)
			})
		}
		if all {
			found |= one
		}
	}
	return found
}

// contested reports whether a message claims a name of the node with other data:
// a response as its answers, a probe as its authority (RFC 6762, 8.1 and 9).
func (n *node) contested(m *message) bool {
	for i := range m.records {
		r := &m.records[i]
		if m.response == (r.section == inAuthority) || r.ttl == 0 {
			continue
		}
		switch {
		case r.name == n.key && r.typ == dnsmessage.TypeSRV:
			if r.port != n.port || !sameName(r.target, n.host) {
				return true
			}
		case r.name == n.key && r.typ == dnsmessage.TypeTXT:
			if !r.same(&record{name: n.key, typ: r.typ, txt: n.txt}) {
				return true
			}
		case r.name == n.host && r.addr.IsValid():
			// Our own packets may come back by another interface.
			if !n.hasAddr(r.addr) {
				return true
			}
		}
	}
	return false
}

// dismissed reports whether a response says that the node is gone: another with its ID
// may have said goodbye.
func (n *node) dismissed(m *message) bool {
	for i := range m.records {
		r := &m.records[i]
		if !m.response || r.ttl != 0 || r.section != inAnswer {
			continue
		}
		if r.name == n.key && r.typ == dnsmessage.TypeSRV || r.typ == dnsmessage.TypePTR && r.name == n.service && fold(r.target) == n.key {
			return true
		}
	}
	return false
}

func (n *node) hasAddr(a netip.Addr) bool {
	for _, as := range n.addrs {
		if slices.Contains(as, a) {
			return true
		}
	}
	return false
}

// enqueue plans a multicast of some kinds of records on a link.
func (n *node) enqueue(l link, k kinds, due time.Time, defence bool) {
	if !slices.Contains(n.links, l) {
		return
	}
	p := n.pending[l]
	if p == nil {
		p = &pending{due: due}
		n.pending[l] = p
	}
	p.kinds |= k
	p.defence = p.defence || defence
	if due.Before(p.due) {
		p.due = due
	}
}

// allowed returns when some kinds of records may be multicast again on a link.
func (n *node) allowed(l link, k kinds, gap time.Duration) (t time.Time) {
	s := n.sent[l]
	if s == nil {
		return t
	}
	for i := range s {
		if k&(1<<i) != 0 && !s[i].IsZero() {
			if a := s[i].Add(gap); a.After(t) {
				t = a
			}
		}
	}
	return t
}

func (n *node) mark(now time.Time, l link, k kinds) {
	s := n.sent[l]
	if s == nil {
		s = new([kindCount]time.Time)
		n.sent[l] = s
	}
	for i := range s {
		if k&(1<<i) != 0 {
			s[i] = now
		}
	}
}

// stale returns which kinds were not multicast on a link within a quarter of
// their life.
func (n *node) stale(now time.Time, l link, k kinds) (old kinds) {
	for one := kinds(1); one != 0; one <<= 1 {
		quarter := otherTTL * time.Second / 4
		if one&(kindPTR|kindTXT|kindEnum) == 0 {
			quarter = hostTTL * time.Second / 4
		}
		if k&one == 0 {
			continue
		}
		if t := n.allowed(l, one, quarter); t.IsZero() || now.After(t) {
			old |= one
		}
	}
	return old
}

// multicast packs records for the group of a link.
func multicast(l link, kind packetKind, rs []record) []transmission {
	var out []transmission
	for _, b := range pack(message{response: true}, rs) {
		out = append(out, transmission{link: l, payload: b, kind: kind})
	}
	return out
}

// dedupe drops records that several nodes of the process have in common.
func dedupe(rs []record) []record {
	var out []record
	for _, r := range rs {
		if r.name == enumeration && slices.ContainsFunc(out, func(o record) bool { return o.same(&r) }) {
			continue
		}
		out = append(out, r)
	}
	return out
}

// pack makes as few packets of records as fit, each with the head of m. Records
// that cannot be sent at all are left out.
func pack(m message, rs []record) [][]byte {
	if len(rs) == 0 {
		return nil
	}
	m.records = rs
	if b, err := build(&m); err == nil && len(b) <= maxSend {
		return [][]byte{b}
	}
	if len(rs) == 1 {
		return nil
	}
	// Additional records follow the answers they belong to only as far as
	// they fit, so they are split apart first.
	cut := slices.IndexFunc(rs, func(r record) bool { return r.section == inAdditional })
	if cut <= 0 {
		cut = len(rs) / 2
	}
	return append(pack(m, rs[:cut]), pack(m, rs[cut:])...)
}

var payloadSeed = maphash.MakeSeed()

func payloadHash(b []byte) uint64 { return maphash.Bytes(payloadSeed, b) }
