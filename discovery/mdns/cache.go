package mdns

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// maxInstances bounds the cache, and maxPerSource the part of it that
	// one sender can fill: all nodes of a machine may share an address.
	maxInstances = 1024
	maxPerSource = 512
	// maxAddrs bounds the addresses of an instance on an interface, and those of a
	// candidate, and maxAllAddrs those of an instance.
	maxAddrs    = 8
	maxAllAddrs = 64
	// maxTTL is the longest time that a record is believed, whatever it
	// says: an hour and a quarter, as RFC 6762, 10 recommends at most.
	maxTTL = 4500
	// reconfirmWait is how long a doubted record may go unanswered
	// (RFC 6762, 10.4).
	reconfirmWait = 10 * time.Second
	// flushAge spares records that came with or just before the flushing one
	// (RFC 6762, 10.2).
	flushAge = time.Second
)

// refreshAt are the parts of its lifetime, in percent, after which a record is
// asked for again (RFC 6762, 5.2).
var refreshAt = [...]int{80, 85, 90, 95}

// A cache holds what is known of other nodes (RFC 6762, 10). It is pure: time
// and messages go in, changes come out.
//
// Only PTR records keep an instance alive and are refreshed. SRV and address
// records are wanted once, to connect; then TCP knows better, and asking for
// them every two minutes for ever would be most of the traffic (RFC 6762, 5.2
// asks to refresh only what is still of interest). So their last contents are
// kept until there are newer ones or the instance is gone.
type cache struct {
	random    func() float64 // in [0, 1)
	instances map[string]*instance
	perSource map[netip.Addr]int
	due       time.Time // no later than the next time that advance has work
	gone      []string  // keys of instances dropped since takeGone
}

// An instance is another node, or another program's service of the same type.
type instance struct {
	key     string // folded full name
	label   string // as announced
	service string
	source  netip.Addr // who told of it first
	heard   time.Time
	ptrs    []pointer

	haveSRV bool
	port    uint16
	target  string // folded

	haveTXT bool
	txt     []string

	addrs     []address
	reconfirm time.Time // when it is dropped unless heard of; zero: not in doubt
}

// A pointer is the PTR record of an instance as known on one interface.
type pointer struct {
	index    int
	ttl      time.Duration
	received time.Time
	asked    int     // how many of refreshAt are behind
	jitter   float64 // of the refresh, in parts of the TTL
	short    bool    // too short-lived to be a known answer
}

func (p *pointer) expires() time.Time { return p.received.Add(p.ttl) }

// refresh returns when the record is to be asked for, with the 2 % of variation
// that RFC 6762, 5.2 asks for.
func (p *pointer) refresh() time.Time {
	if p.asked == len(refreshAt) {
		return p.expires()
	}
	part := float64(refreshAt[p.asked])/100 + p.jitter
	return p.received.Add(time.Duration(part * float64(p.ttl)))
}

type address struct {
	addr     netip.Addr // with its zone
	index    int        // the interface it was heard of by
	source   bool       // where the datagram came from
	ttl      time.Duration
	received time.Time
}

// A change is what a message told of an instance.
type change struct {
	in        *instance
	announced bool // it was not asked for
	gone      bool // said goodbye or was dropped
}

func newCache(random func() float64) *cache {
	return &cache{random: random, instances: map[string]*instance{}, perSource: map[netip.Addr]int{}}
}

// resolved reports whether all is known that it takes to judge an instance.
func (in *instance) resolved() bool { return in.haveSRV && in.haveTXT }

// on reports whether the instance is known on an interface.
func (in *instance) on(index int) bool {
	return slices.ContainsFunc(in.ptrs, func(p pointer) bool { return p.index == index })
}

// ages reports whether more than half of the life of the instance's record on an
// interface is over.
func (in *instance) ages(now time.Time, index int) bool {
	return slices.ContainsFunc(in.ptrs, func(p pointer) bool {
		return p.index == index && !p.short && p.expires().Sub(now) <= p.ttl/2
	})
}

// handle takes a response that came in from src by an interface. tracked says
// which service types are of interest, own which instances are not: our own.
// Each instance that the message speaks of is returned once.
//
// Address records count only in the company of the SRV record they belong to,
// as nodes send them.
func (c *cache) handle(now time.Time, nm *netmap, index int, src netip.Addr, m *message, tracked, own func(string) bool) []change {
	var changes []change
	touch := func(in *instance) {
		if !slices.ContainsFunc(changes, func(ch change) bool { return ch.in == in }) {
			changes = append(changes, change{in: in})
		}
	}
	var ptrAnswer, srvAnswer bool
	for i := range m.records {
		r := &m.records[i]
		if r.section == inAuthority {
			continue
		}
		name := r.name
		if r.typ == dnsmessage.TypePTR {
			name = r.target
		} else if r.typ != dnsmessage.TypeSRV && r.typ != dnsmessage.TypeTXT {
			continue
		}
		label, service, ok := splitInstance(name)
		service = fold(service)
		key := fold(name)
		if !ok || !tracked(service) || r.typ == dnsmessage.TypePTR && r.name != service || own(key) {
			continue
		}
		in := c.instances[key]
		if r.ttl == 0 {
			// Goodbye (RFC 6762, 10.1). Waiting a second, as it asks,
			// would help a name that two hosts share; ours are random.
			// It counts only as an answer, and on an interface that the
			// instance is known on: then the instance takes it for one,
			// too, and if it is there after all, it says so.
			if in != nil && r.section == inAnswer && r.typ != dnsmessage.TypeTXT && in.on(index) {
				c.drop(in)
				touch(in)
			}
			continue
		}
		if in == nil {
			if r.typ == dnsmessage.TypeTXT {
				continue
			}
			if in = c.add(key, label, service, src); in == nil {
				continue
			}
		}
		touch(in)
		in.heard = now
		in.reconfirm = time.Time{}
		ttl := time.Duration(min(r.ttl, maxTTL)) * time.Second
		switch r.typ {
		case dnsmessage.TypePTR:
			in.label = label // a record's own name is folded, this is as people wrote it
			ptrAnswer = ptrAnswer || r.section == inAnswer
			in.setPointer(pointer{index: index, ttl: ttl, received: now, jitter: c.random() * 0.02, short: r.ttl <= legacyTTL})
		case dnsmessage.TypeSRV:
			srvAnswer = srvAnswer || r.section == inAnswer
			in.haveSRV, in.port, in.target = true, r.port, fold(r.target)
			if !in.on(index) {
				in.setPointer(pointer{index: index, ttl: ttl, received: now, asked: len(refreshAt), short: true})
			}
		case dnsmessage.TypeTXT:
			in.haveTXT, in.txt = true, r.txt
		}
		c.wake(in.next())
	}
	for i := range changes {
		ch := &changes[i]
		// It may also have made room for one that the message speaks of later.
		if ch.gone = c.instances[ch.in.key] != ch.in; ch.gone {
			continue
		}
		// An answer has the PTR record as its answer and the others as
		// company; an announcement has them all as answers (RFC 6762,
		// 8.3; RFC 6763, 12).
		ch.announced = ptrAnswer && srvAnswer
		if ch.in.haveSRV {
			ch.in.setAddrs(now, nm, index, src, m)
		}
	}
	return changes
}

func (c *cache) add(key, label, service string, src netip.Addr) *instance {
	if c.perSource[src] >= maxPerSource {
		return nil
	}
	if len(c.instances) >= maxInstances && !c.evict(src) {
		return nil
	}
	in := &instance{key: key, label: label, service: service, source: src}
	c.instances[key] = in
	c.perSource[src]++
	return in
}

// evict makes room for a new instance from src by dropping the one that was
// silent for longest of the most talkative sender. It fails if that is src.
func (c *cache) evict(src netip.Addr) bool {
	worst := src
	for s, n := range c.perSource {
		if n > c.perSource[worst] {
			worst = s
		}
	}
	if worst == src {
		return false
	}
	var oldest *instance
	for _, in := range c.instances {
		if in.source == worst && (oldest == nil || in.heard.Before(oldest.heard)) {
			oldest = in
		}
	}
	c.drop(oldest)
	return true
}

func (c *cache) drop(in *instance) {
	if c.instances[in.key] != in {
		return
	}
	delete(c.instances, in.key)
	c.gone = append(c.gone, in.key)
	if c.perSource[in.source]--; c.perSource[in.source] == 0 {
		delete(c.perSource, in.source)
	}
}

// takeGone returns the keys of the instances dropped since the last call.
func (c *cache) takeGone() []string {
	gone := c.gone
	c.gone = nil
	return gone
}

func (in *instance) setPointer(p pointer) {
	for i := range in.ptrs {
		if in.ptrs[i].index == p.index {
			// A short-lived hint does not cut a known record short.
			if !p.short || in.ptrs[i].short || in.ptrs[i].expires().Before(p.expires()) {
				in.ptrs[i] = p
			}
			return
		}
	}
	in.ptrs = append(in.ptrs, p)
}

// setAddrs takes the address records that belong to the instance. The sender's
// own address counts if it is one of them, or if there are none that can be
// used: then nothing better is known.
func (in *instance) setAddrs(now time.Time, nm *netmap, index int, src netip.Addr, m *message) {
	var flush4, flush6 bool
	var fresh []address
	for i := range m.records {
		r := &m.records[i]
		if r.typ != dnsmessage.TypeA && r.typ != dnsmessage.TypeAAAA || r.name != in.target || r.section == inAuthority {
			continue
		}
		if r.typ == dnsmessage.TypeA {
			flush4 = flush4 || r.unique
		} else {
			flush6 = flush6 || r.unique
		}
		a, ok := nm.onLink(r.addr, index)
		if !ok || r.ttl == 0 || len(fresh) == maxAddrs {
			continue
		}
		ttl := time.Duration(min(r.ttl, maxTTL)) * time.Second
		fresh = append(fresh, address{addr: a, index: index, source: a == src, ttl: ttl, received: now})
	}
	if len(fresh) == 0 {
		if slices.ContainsFunc(in.addrs, func(a address) bool { return a.index == index && !a.source }) {
			return
		}
		fresh = append(fresh, address{addr: src, index: index, source: true, ttl: hostTTL * time.Second, received: now})
	}
	// A node sends from one address of each family, and the packets come by
	// turns: of the other family, the last one stays.
	from := slices.IndexFunc(fresh, func(f address) bool { return f.source })
	in.addrs = slices.DeleteFunc(in.addrs, func(a address) bool {
		replaced := from >= 0 && fresh[from].addr.Is4() == a.addr.Is4()
		if n := slices.IndexFunc(fresh, func(f address) bool { return f.addr == a.addr && f.index == a.index }); n >= 0 {
			fresh[n].source = fresh[n].source || a.source && !replaced
			return true
		}
		flush := flush4
		if a.addr.Is6() {
			flush = flush6
		}
		return now.After(a.received.Add(a.ttl)) || flush && a.index == index && now.Sub(a.received) > flushAge
	})
	if from >= 0 {
		for i := range in.addrs {
			if a := &in.addrs[i]; a.index == index && a.addr.Is4() == fresh[from].addr.Is4() {
				a.source = false
			}
		}
	}
	// Those of other interfaces do not make room: they would come back with the next
	// packet, and each time it would be a change.
	over := len(fresh) - maxAddrs
	for _, a := range in.addrs {
		if a.index == index {
			over++
		}
	}
	in.addrs = slices.DeleteFunc(in.addrs, func(a address) bool {
		if a.index != index || over <= 0 {
			return false
		}
		over--
		return true
	})
	in.addrs = append(in.addrs, fresh[:min(len(fresh), maxAllAddrs-len(in.addrs))]...)
}

// doubt starts to reconfirm an instance: unless something is heard of it, it is
// dropped in 10 s (RFC 6762, 10.4). It reports whether that was news.
func (c *cache) doubt(now time.Time, key string) bool {
	in := c.instances[key]
	if in == nil || !in.reconfirm.IsZero() {
		return false
	}
	in.reconfirm = now.Add(reconfirmWait)
	c.wake(in.reconfirm)
	return true
}

// A refresh asks for the PTR records of a service type on an interface.
type refresh struct {
	service string
	index   int
}

// advance does what is due: drops what has expired and returns what is to be
// asked for again.
func (c *cache) advance(now time.Time) (refreshes []refresh) {
	if c.due.IsZero() || now.Before(c.due) {
		return nil
	}
	c.due = time.Time{}
	for _, in := range inOrder(c.instances, strings.Compare) {
		for i := range in.ptrs {
			p := &in.ptrs[i]
			due := false
			for p.asked < len(refreshAt) && !now.Before(p.refresh()) {
				p.asked++
				due = true
			}
			if r := (refresh{in.service, p.index}); due && now.Before(p.expires()) && !slices.Contains(refreshes, r) {
				refreshes = append(refreshes, r)
			}
		}
		in.ptrs = slices.DeleteFunc(in.ptrs, func(p pointer) bool { return !now.Before(p.expires()) })
		if len(in.ptrs) == 0 || !in.reconfirm.IsZero() && !now.Before(in.reconfirm) {
			c.drop(in)
			continue
		}
		c.wake(in.next())
	}
	return refreshes
}

// next returns when advance has work with the instance.
func (in *instance) next() time.Time {
	t := in.reconfirm
	for i := range in.ptrs {
		if r := in.ptrs[i].refresh(); t.IsZero() || r.Before(t) {
			t = r
		}
	}
	return t
}

func (c *cache) wake(t time.Time) {
	if !t.IsZero() && (c.due.IsZero() || t.Before(c.due)) {
		c.due = t
	}
}

// forgetInterface drops what was known through an interface that is gone.
func (c *cache) forgetInterface(index int) {
	for _, in := range c.instances {
		in.ptrs = slices.DeleteFunc(in.ptrs, func(p pointer) bool { return p.index == index })
		in.addrs = slices.DeleteFunc(in.addrs, func(a address) bool { return a.index == index })
		if len(in.ptrs) == 0 {
			c.drop(in)
		}
	}
}

// forgetService drops all instances of a service type.
func (c *cache) forgetService(service string) {
	for _, in := range c.instances {
		if in.service == service {
			c.drop(in)
		}
	}
}

// known returns how many instances of a service type there are.
func (c *cache) known(service string) (n int) {
	for _, in := range c.instances {
		if in.service == service {
			n++
		}
	}
	return n
}

// answers returns the PTR records of a service type that are known on an
// interface with more than half of their life ahead (RFC 6762, 7.1), and those of
// the instances that are connected, unless it is time to have them renewed: listed,
// they would not be answered, and go out of all caches at once. Those that came with
// the short life of a legacy reply (6.7) are not worth listing.
func (c *cache) answers(now time.Time, service string, index int, connected []string) []record {
	var rs []record
	for _, label := range connected {
		if in := c.instances[fold(label+"."+service)]; in != nil && in.ages(now, index) {
			continue
		}
		rs = append(rs, record{
			name: service, typ: dnsmessage.TypePTR, ttl: otherTTL, target: label + "." + service,
		})
	}
	for _, in := range inOrder(c.instances, strings.Compare) {
		if in.service != service || slices.Contains(connected, in.label) {
			continue
		}
		for i := range in.ptrs {
			p := &in.ptrs[i]
			left := p.expires().Sub(now)
			if p.index == index && !p.short && in.reconfirm.IsZero() && left > p.ttl/2 {
				rs = append(rs, record{
					name: service, typ: dnsmessage.TypePTR, ttl: uint32(left / time.Second),
					target: in.label + "." + service,
				})
			}
		}
	}
	return rs
}
