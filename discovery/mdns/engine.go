package mdns

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"example.com/tcpnet/discovery"
	"golang.org/x/net/dns/dnsmessage"
)

const (
	// queueLength is how many packets may wait for the loop.
	queueLength = 1024
	// oneShotLife is how long replies to a one-shot question are waited for.
	oneShotLife = 3 * time.Second
	// portRetry is how often port 5353 is tried again. Another program may have ended,
	// which nothing tells.
	portRetry = time.Minute
)

// An engine is the loop around caches and schedules, with the sockets. Packets are
// handled by whoever reads them where that needs no waiting; all else is done by the
// loop, which others reach by post and do.
type engine struct {
	network  Network
	rnd      func() float64 // from 0 to 1
	log      *slog.Logger
	counters counters

	wake    chan struct{}
	quit    chan struct{}
	done    chan struct{}
	unwatch chan func() // gets the end of the watch, once it has begun

	mention atomic.Pointer[mention] // what a packet has to mention to be of interest
	recent  recent

	mu     sync.Mutex // guards posted
	posted []func()

	state    sync.Mutex // guards the rest
	timer    *time.Timer
	timerAt  time.Time // when timer is set to; zero: not set
	watching sync.Once
	ifs      []Interface
	netmap   *netmap
	port     Transport // nil if 5353 is not to be had
	retry    time.Time // when it is tried again
	oneShot  Transport // open while replies are expected
	oneShots map[uint16]bool
	closing  time.Time // of oneShot

	responder *responder
	cache     *cache
	services  map[string]*service
	sessions  []*session
	message   message // used again and again
	failed    map[string]bool
}

// A service is a type of service that nodes of this process share.
type service struct {
	querier  *querier
	sessions []*session
}

// An arrival is a packet with the port it came in by.
type arrival struct {
	Packet
	oneShot bool
}

func startEngine(n Network, log *slog.Logger) *engine {
	rnd := rand.Float64
	if r, ok := n.(interface{ Float64() float64 }); ok {
		rnd = r.Float64
	}
	e := &engine{
		network: n, rnd: rnd, log: log,
		wake:     make(chan struct{}, 1),
		quit:     make(chan struct{}),
		done:     make(chan struct{}),
		unwatch:  make(chan func(), 1),
		cache:    newCache(rnd),
		services: map[string]*service{},
		oneShots: map[uint16]bool{},
		failed:   map[string]bool{},
	}
	e.responder = newResponder(rnd, e.crowded)
	ifs, err := n.Interfaces()
	if err != nil {
		// A sandbox may forbid it. If it is for a while, the watch brings them.
		e.complain("mDNS cannot list the network interfaces", err)
	}
	e.ifs, e.netmap = ifs, newNetmap(ifs)
	e.mention.Store(newMention(nil))
	e.timer = time.NewTimer(time.Hour)
	e.state.Lock() // packets may come from now on
	defer e.state.Unlock()
	e.open()
	go e.run()
	return e
}

// watch begins to watch the network. It takes as long as all else that starting
// takes, so that it is begun when the first announcement is out, and then one more
// look is needed to miss no change.
func (e *engine) watch() {
	cancel := e.network.Watch(func(ifs []Interface, resumed bool) {
		e.post(func() { e.changed(ifs, resumed) })
	})
	e.post(func() {
		if ifs, err := e.network.Interfaces(); err == nil {
			e.changed(ifs, false)
		}
	})
	e.unwatch <- cancel
}

// stop ends the engine. Nothing of it runs any more when it returns.
func (e *engine) stop() {
	(<-e.unwatch)()
	close(e.quit)
	<-e.done
	if e.port != nil {
		e.port.Close()
	}
	e.closeOneShot()
	e.timer.Stop()
}

// post has f run by the loop, in order.
func (e *engine) post(f func()) {
	e.mu.Lock()
	e.posted = append(e.posted, f)
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// do has f run by the loop and returns when it has.
func (e *engine) do(f func()) {
	ran := make(chan struct{})
	e.post(func() { f(); close(ran) })
	<-ran
}

func (e *engine) run() {
	defer close(e.done)
	for {
		select {
		case <-e.quit:
			return
		case <-e.wake:
		case <-e.timer.C:
		}
		e.turn()
	}
}

// turn does what was posted and what is due.
func (e *engine) turn() {
	e.state.Lock()
	defer e.state.Unlock()
	e.mu.Lock()
	fs := e.posted
	e.posted = nil
	e.mu.Unlock()
	for _, f := range fs {
		f()
	}
	now := time.Now()
	e.advance(now)
	e.timerAt = time.Time{}
	e.arm(now)
}

// arm sets the timer to when advance has work.
func (e *engine) arm(now time.Time) {
	due := e.next()
	if due.Equal(e.timerAt) {
		return
	}
	if e.timerAt = due; due.IsZero() {
		e.timer.Stop()
	} else {
		e.timer.Reset(due.Sub(now))
	}
}

// open opens port 5353 and reports whether it could.
func (e *engine) open() bool {
	t, err := e.network.Open(Port, e.receiver(false))
	if err != nil {
		e.complain("mDNS port not available: nodes are found by asking only", err, "port", Port)
		e.retry = time.Now().Add(portRetry)
		return false
	}
	e.port = t
	return true
}

// receiver returns what a transport hands its packets to. It does not block: when
// the engine is busy, packets wait for the loop, and when that is behind, they are
// lost, as they are on the way.
func (e *engine) receiver(oneShot bool) func(Packet) {
	return func(p Packet) {
		e.counters.received.count(len(p.Data))
		if !e.mention.Load().in(p.Data) {
			e.counters.unrelated.Add(1)
			return
		}
		now := time.Now()
		if !oneShot && e.recent.again(now, p) {
			e.counters.repeated.Add(1)
			return
		}
		if !e.atOnce(now, arrival{p, oneShot}) && !e.later(arrival{p, oneShot}) {
			e.counters.dropped.Add(1)
		}
	}
}

// atOnce handles a packet here and now, which saves a wake-up. It reports false if
// the engine is busy or has packets that came before this one.
func (e *engine) atOnce(now time.Time, a arrival) bool {
	if !e.state.TryLock() {
		return false
	}
	defer e.state.Unlock()
	e.mu.Lock()
	behind := len(e.posted) > 0
	e.mu.Unlock()
	if behind {
		return false
	}
	e.handle(now, a)
	e.arm(now)
	return true
}

// later has the loop handle a packet. It reports false if too many wait already.
func (e *engine) later(a arrival) bool {
	a.Data = bytes.Clone(a.Data)
	e.mu.Lock()
	full := len(e.posted) >= queueLength
	if !full {
		e.posted = append(e.posted, func() { e.handle(time.Now(), a) })
	}
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
	return !full
}

// join begins a session.
func (e *engine) join(s *session) {
	now := time.Now()
	e.sessions = append(e.sessions, s)
	n := s.node
	n.addrs, n.links = place(s.self, e.ifs)
	e.recent.clear()

	v := e.services[n.service]
	if v == nil {
		v = &service{querier: newQuerier(n.service, e.rnd)}
		e.services[n.service] = v
	}
	v.sessions = append(v.sessions, s)
	e.mention.Store(newMention(e.names()))
	e.responder.add(now, n)
	v.querier.restart(now, v.links(), func(int) bool { return false })
	if len(v.sessions) > 1 {
		// Others may be known to those that were here before by their
		// connections alone.
		for _, l := range v.links() {
			v.querier.refresh(now, l.index)
		}
	}
	first := e.responder.advance(now)
	used := e.used()
	if len(e.sessions) == 1 {
		// What is said at once does not wait for the preparations of what is
		// said later. Who speaks hears the answers already.
		e.joinGroups(speaking(used, first))
		e.transmit(first)
		first = nil
	}
	e.joinGroups(used)
	e.transmit(first)
	e.watching.Do(func() { go e.watch() })

	for _, o := range v.sessions {
		if o != s {
			e.introduce(o, s, true)
			e.introduce(s, o, false)
		}
	}
	for _, in := range inOrder(e.cache.instances, strings.Compare) {
		if in.service == n.service {
			s.report.report(now, in, false)
		}
	}
}

// leave ends a session and returns its goodbye, sent once already.
func (e *engine) leave(s *session) []transmission {
	goodbye := e.responder.remove(s.node)
	e.transmit(goodbye)
	e.sessions = slices.DeleteFunc(e.sessions, func(o *session) bool { return o == s })
	v := e.services[s.node.service]
	v.sessions = slices.DeleteFunc(v.sessions, func(o *session) bool { return o == s })
	if len(v.sessions) == 0 {
		delete(e.services, s.node.service)
		e.cache.forgetService(s.node.service)
	} else {
		v.querier.restart(time.Now(), v.links(), func(int) bool { return false })
	}
	for _, o := range v.sessions {
		// If another node elsewhere has its ID, its next word is news: the
		// goodbye was heard as that one's, too.
		o.report.forget(s.node.key)
	}
	e.mention.Store(newMention(e.names()))
	e.recent.clear()
	return goodbye
}

// introduce tells one node of this process of another.
func (e *engine) introduce(to, of *session, announced bool) {
	in := &instance{port: of.node.port}
	for _, i := range e.ifs {
		for _, a := range of.node.addrs[i.Index] {
			if a.Is6() && a.IsLinkLocalUnicast() {
				a = a.WithZone(i.Name)
			}
			in.addrs = append(in.addrs, address{addr: a, index: i.Index})
		}
	}
	addrs := candidateAddrs(in, func(int) bool { return true })
	if len(addrs) == 0 {
		return
	}
	to.report.sink.Found(discovery.Candidate{ID: of.self.ID, Addrs: addrs, Announced: announced, Source: source})
}

// changed takes a new state of the network.
func (e *engine) changed(ifs []Interface, resumed bool) {
	now := time.Now()
	before := e.netmap
	e.ifs, e.netmap = ifs, newNetmap(ifs)
	changed := func(index int) bool {
		a, b := before.byIndex[index], e.netmap.byIndex[index]
		return resumed || a == nil || b == nil || a.Flags != b.Flags || !slices.Equal(a.Prefixes, b.Prefixes)
	}
	e.recent.clear()
	for index := range before.byIndex {
		if i := e.netmap.byIndex[index]; i == nil || !usable(i.Interface) {
			e.cache.forgetInterface(index)
		}
	}
	if e.port == nil && e.open() {
		resumed = true // of what was announced so far, nobody has heard
	}
	moved := map[*session]bool{}
	for _, s := range e.sessions {
		addrs, links := place(s.self, ifs)
		for index := range addrs {
			moved[s] = moved[s] || !slices.Equal(addrs[index], s.node.addrs[index])
		}
		e.responder.move(now, s.node, addrs, links, changed)
	}
	e.joinGroups(e.used())
	for _, v := range e.services {
		v.querier.restart(now, v.links(), changed)
		for _, s := range v.sessions {
			for _, o := range v.sessions {
				if o != s && moved[o] {
					e.introduce(s, o, false)
				}
			}
		}
	}
}

// links returns the links that the nodes of a service use.
func (v *service) links() []link {
	var ls []link
	for _, s := range v.sessions {
		for _, l := range s.node.links {
			if !slices.Contains(ls, l) {
				ls = append(ls, l)
			}
		}
	}
	return ls
}

// names returns those that a packet has to mention to be of interest.
func (e *engine) names() []string {
	names := slices.Collect(maps.Keys(e.services))
	for _, s := range e.sessions {
		names = append(names, s.node.host)
	}
	return names
}

// used returns the interfaces that the nodes of this process use.
func (e *engine) used() []Interface {
	var ifs []Interface
	for _, i := range e.ifs {
		if slices.ContainsFunc(e.sessions, func(s *session) bool { return s.node.addrs[i.Index] != nil }) {
			ifs = append(ifs, i)
		}
	}
	return ifs
}

// speaking returns interfaces with only those of their addresses whose links have
// something to send.
func speaking(ifs []Interface, ts []transmission) []Interface {
	speaking := make([]Interface, 0, len(ifs))
	for _, i := range ifs {
		var prefixes []netip.Prefix
		for _, p := range i.Prefixes {
			l := link{i.Index, !p.Addr().Is4()}
			if slices.ContainsFunc(ts, func(t transmission) bool { return t.link == l }) {
				prefixes = append(prefixes, p)
			}
		}
		i.Prefixes = prefixes
		speaking = append(speaking, i)
	}
	return speaking
}

func (e *engine) joinGroups(ifs []Interface) {
	for _, t := range []Transport{e.port, e.oneShot} {
		if t != nil {
			if err := t.Join(ifs); err != nil {
				e.complain("cannot hear mDNS on all interfaces", err)
			}
		}
	}
}

// complain logs an error the first time that it occurs. args are further attributes.
func (e *engine) complain(what string, err error, args ...any) {
	if key := fmt.Sprint(what, err, args); !e.failed[key] && len(e.failed) < 100 {
		e.failed[key] = true
		e.log.Warn(what, append([]any{"err", err}, args...)...)
	}
}

// handle takes a packet.
func (e *engine) handle(now time.Time, a arrival) {
	src, ok := e.netmap.onLink(a.Src.Addr(), a.Index)
	if !ok {
		e.counters.offLink.Add(1)
		return
	}
	m := &e.message
	if err := parse(a.Data, m); err != nil {
		e.counters.parseErrors.Add(1)
	}
	l := link{a.Index, src.Is6()}
	switch {
	case !m.response && !a.oneShot:
		e.question(now, l, a, m, payloadHash(a.Data))
	case !m.response:
	case a.Src.Port() != Port, a.oneShot && !e.oneShots[m.id], !a.oneShot && !a.Multicast:
		// RFC 6762, 6 and 11: responses come from port 5353, and a unicast
		// one only to who asked for it.
		e.counters.offLink.Add(1)
	default:
		if !a.oneShot {
			e.recent.heard(now, a.Packet)
		}
		e.answer(now, l, src, a, m)
	}
}

// question takes a query of another.
func (e *engine) question(now time.Time, l link, a arrival, m *message, payload uint64) {
	if !a.Multicast {
		for i := range m.questions {
			m.questions[i].unicast = true // RFC 6762, 5.5
		}
	}
	e.responder.query(now, l, a.Src, m, payload)
	if !a.Multicast || a.Src.Port() != Port {
		return
	}
	for _, v := range e.services {
		v.querier.heard(now, l, a.Src, m, func(key string) bool {
			in := e.cache.instances[key]
			return in != nil && in.on(l.index) || e.own(key)
		})
	}
}

// answer takes a response of another.
func (e *engine) answer(now time.Time, l link, src netip.Addr, a arrival, m *message) {
	if a.oneShot {
		// A goodbye goes to all (RFC 6762, 10.1), and so to the node that it speaks
		// of, which may be there.
		m.records = slices.DeleteFunc(m.records, func(r record) bool { return r.ttl == 0 })
	}
	if m.goodbye() {
		e.recent.clear() // what was said before it may be said again
	}
	tracked := func(service string) bool { return e.services[service] != nil }
	changes := e.cache.handle(now, e.netmap, l.index, src, m, tracked, e.own)
	for _, key := range e.cache.takeGone() {
		e.forget(key)
	}
	for _, c := range changes {
		if c.gone {
			continue
		}
		v := e.services[c.in.service]
		if !c.in.resolved() {
			v.querier.ask(now, c.in.key, maxAsks)
			continue
		}
		v.querier.answered(c.in.key)
		for _, s := range v.sessions {
			s.report.report(now, c.in, c.announced && !a.oneShot)
		}
	}
	e.counters.instances.Store(uint64(len(e.cache.instances)))
	if a.oneShot {
		return
	}
	for _, n := range e.responder.response(now, l, m) {
		e.contested(now, n, src, m)
	}
}

// contested tells a node of another one with its ID: only by connecting to it can
// it be told from an old packet.
func (e *engine) contested(now time.Time, n *node, src netip.Addr, m *message) {
	for _, s := range e.sessions {
		if s.node != n || !s.twinTold.IsZero() && now.Sub(s.twinTold) < quiet {
			continue
		}
		for i := range m.records {
			if r := &m.records[i]; r.typ == dnsmessage.TypeSRV && r.name == n.key && r.port != 0 {
				s.twinTold = now
				s.report.sink.Found(discovery.Candidate{
					ID: s.self.ID, Addrs: []netip.AddrPort{netip.AddrPortFrom(src, r.port)}, Source: source,
				})
				break
			}
		}
	}
}

// own reports whether an instance is a node of this process.
func (e *engine) own(key string) bool {
	return slices.ContainsFunc(e.sessions, func(s *session) bool { return s.node.key == key })
}

// forget makes an instance that was dropped new to all nodes.
func (e *engine) forget(key string) {
	e.recent.clear()
	for _, s := range e.sessions {
		s.report.forget(key)
	}
}

// reconfirm takes doubts of a node about another one (RFC 6762, 10.4).
func (e *engine) reconfirm(s *session, id string) {
	v := e.services[s.node.service]
	if v == nil || !slices.Contains(v.sessions, s) || !validID(id) {
		return
	}
	for _, o := range v.sessions {
		if o.self.ID == id && o != s {
			e.introduce(s, o, false)
			return
		}
	}
	now := time.Now()
	key := fold(instanceLabel(id) + "." + s.node.service)
	s.report.doubt(key)
	if e.cache.doubt(now, key) || e.cache.instances[key] == nil {
		e.recent.clear() // the answer may be what was heard a moment ago
		v.querier.ask(now, key, maxInstances)
	}
}

// advance does all that is due.
func (e *engine) advance(now time.Time) {
	if e.port == nil && !now.Before(e.retry) {
		e.changed(e.ifs, false)
	}
	for _, r := range e.cache.advance(now) {
		if v := e.services[r.service]; v != nil {
			v.querier.refresh(now, r.index)
		}
	}
	for _, key := range e.cache.takeGone() {
		e.forget(key)
	}
	e.transmit(e.responder.advance(now))
	for name, v := range e.services {
		if due := v.querier.dueAt(); !due.IsZero() && !now.Before(due) {
			connected := v.connected()
			answers := func(index int) []record {
				return append(v.answers(index), e.cache.answers(now, name, index, e.tellable(connected, index))...)
			}
			e.transmit(v.querier.advance(now, e.cache.known(name), answers, e.newOneShot, e.port != nil, len(connected) > 0))
		}
	}
	for _, s := range e.sessions {
		s.report.advance(now, func(key string) *instance { return e.cache.instances[key] })
	}
	if !e.closing.IsZero() && !now.Before(e.closing) {
		e.closeOneShot()
	}
}

// crowd is how many nodes are many.
const crowd = 16

// crowded reports whether a node of this process knows many others, by mDNS or because it
// is connected to them.
func (e *engine) crowded(n *node) bool {
	if len(e.cache.instances) >= crowd {
		return true
	}
	for _, s := range e.sessions {
		if s.node == n {
			c, ok := s.report.sink.(discovery.Connected)
			return ok && len(c.Connected()) >= crowd
		}
	}
	return false
}

// connected are the instances that all nodes of the process are connected to, with
// an address of each. They count as known answers, which spares everybody their
// replies, although RFC 6762, 7.1 means records from the cache: that the instance is
// there is known for certain.
func (v *service) connected() map[string]netip.Addr {
	var all map[string]netip.Addr
	for i, s := range v.sessions {
		c, ok := s.report.sink.(discovery.Connected)
		if !ok {
			return nil
		}
		ids := c.Connected()
		if i == 0 {
			all = make(map[string]netip.Addr, len(ids))
			for id, a := range ids {
				all[instanceLabel(id)] = a
			}
			continue
		}
		for label := range all {
			if _, ok := ids[label]; !ok {
				delete(all, label)
			}
		}
	}
	return all
}

// tellable returns those of the connected instances that may be named on an
// interface: one that is connected over loopback may not want to be known elsewhere.
func (e *engine) tellable(connected map[string]netip.Addr, index int) []string {
	var labels []string
	for label, a := range connected {
		if a.IsLoopback() == e.netmap.loopback(index) {
			labels = append(labels, label)
		}
	}
	slices.Sort(labels)
	return labels
}

// answers are the PTR records of the process's own nodes. They are known answers
// as well, and keep the process from answering itself.
func (v *service) answers(index int) []record {
	var rs []record
	for _, s := range v.sessions {
		if s.node.addrs[index] != nil {
			rs = append(rs, s.node.records(kindPTR, inAnswer, index)...)
		}
	}
	return rs
}

// next returns when advance has work.
func (e *engine) next() (t time.Time) {
	first := func(d time.Time) {
		if !d.IsZero() && (t.IsZero() || d.Before(t)) {
			t = d
		}
	}
	first(e.cache.due)
	first(e.responder.next())
	for _, v := range e.services {
		first(v.querier.dueAt())
	}
	for _, s := range e.sessions {
		first(s.report.next())
	}
	first(e.closing)
	if e.port == nil {
		first(e.retry)
	}
	return t
}

// newOneShot returns the ID of a one-shot question.
func (e *engine) newOneShot() uint16 {
	id := uint16(1 + rand.IntN(1<<16-1))
	e.oneShots[id] = true
	return id
}

// transmit sends packets. What fails on one interface is no concern of the others.
func (e *engine) transmit(ts []transmission) {
	for _, t := range ts {
		via := e.netmap.byIndex[t.link.index]
		if via == nil {
			continue
		}
		port := e.port
		if t.oneShot {
			port = e.openOneShot()
		}
		if port == nil {
			continue
		}
		to := t.to
		if !to.IsValid() {
			to = t.link.group()
			e.recent.sent(time.Now(), t.payload, t.link.index)
		}
		if err := port.Send(t.payload, *via, to); err != nil {
			e.counters.sendErrors.Add(1)
			e.complain("cannot send mDNS", err, "interface", via.Name)
			continue
		}
		e.counters.sent[t.kind].count(len(t.payload))
	}
}

// openOneShot returns the transport for one-shot questions. It has a port of its
// own: a unicast reply to 5353 may reach any process of the machine
// (RFC 6762, 15.1).
func (e *engine) openOneShot() Transport {
	e.closing = time.Now().Add(oneShotLife)
	if e.oneShot == nil {
		t, err := e.network.Open(0, e.receiver(true))
		if err != nil {
			e.complain("cannot ask by mDNS", err)
			return nil
		}
		e.oneShot = t
		if err := t.Join(e.used()); err != nil {
			e.complain("cannot ask by mDNS on all interfaces", err)
		}
	}
	return e.oneShot
}

func (e *engine) closeOneShot() {
	if e.oneShot != nil {
		e.oneShot.Close()
		e.oneShot = nil
	}
	clear(e.oneShots)
	e.closing = time.Time{}
}
