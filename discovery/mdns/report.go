package mdns

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"example.com/tcpnet/discovery"
)

const (
	// quiet is how long an unchanged instance is not reported again. Nodes
	// announce themselves four times on each interface.
	quiet = time.Minute
	// calling is how long an unchanged instance that announces itself is not
	// reported again: longer than the four times take. It may have said goodbye
	// under that name, or another one with its ID may have, and be back.
	calling = 10 * time.Second
	// gather is how long after a report more addresses for the same instance
	// are collected: they come by the other interfaces a moment later, and
	// the first one is being dialled already.
	gather = 250 * time.Millisecond
)

// source is [discovery.Candidate.Source].
const source = "mdns"

// A reporter decides what one node is told of the instances in the cache, and
// spares it repeats. It is pure but for the sink.
type reporter struct {
	cluster string
	hashed  bool
	use     func(index int) bool // whether the node uses an interface
	sink    discovery.Sink
	told    map[string]*telling // by instance
	waiting int                 // how many of them are pending
}

// telling is what was told of an instance.
type telling struct {
	addrs   []netip.AddrPort
	why     string // if it is foreign
	at      time.Time
	again   bool // doubted: to be told again even if unchanged
	pending bool // more addresses wait for gather to end
}

func newReporter(self discovery.Self, hashed bool, use func(int) bool, sink discovery.Sink) *reporter {
	return &reporter{cluster: self.Cluster, hashed: hashed, use: use, sink: sink, told: map[string]*telling{}}
}

// judge tells a node from a stranger: its ID, or why it is none.
func (r *reporter) judge(in *instance) (id, why string) {
	if v, _ := attribute(in.txt, "v"); v != "1" {
		return "", "its TXT record does not say v=1"
	}
	name, _ := attribute(in.txt, "name")
	if want := r.cluster; r.hashed && name != boundedName(want) || !r.hashed && name != "" {
		return "", "it belongs to a cluster of another name"
	}
	id = in.label
	if v, ok := attribute(in.txt, "id"); ok && strings.EqualFold(instanceLabel(strings.ToUpper(v)), id) {
		id = v
	}
	if !validID(id) {
		return "", "its name is not the ID of a node"
	}
	return strings.ToUpper(id), ""
}

// report tells of an instance if that is news.
func (r *reporter) report(now time.Time, in *instance, announced bool) {
	if !in.resolved() {
		return
	}
	addrs := candidateAddrs(in, r.use)
	if len(addrs) == 0 || in.port == 0 {
		return
	}
	id, why := r.judge(in)
	t := r.told[in.key]
	if t != nil && t.why == why && !t.again {
		if len(t.addrs) == len(addrs) && contains(addrs, t.addrs) {
			r.wait(t, false)
			anew := announced && now.Sub(t.at) >= calling
			if why != "" || !anew && now.Sub(t.at) < quiet {
				return
			}
			announced = anew
		} else if now.Sub(t.at) < gather && contains(addrs, t.addrs) {
			r.wait(t, true)
			return
		}
	}
	r.forget(in.key)
	r.told[in.key] = &telling{addrs: addrs, why: why, at: now}
	if why != "" {
		r.sink.Foreign(discovery.Foreign{Name: in.label, Addrs: slices.Clone(addrs), Source: source, Why: why})
		return
	}
	r.sink.Found(discovery.Candidate{ID: id, Addrs: slices.Clone(addrs), Announced: announced, Source: source})
}

// contains reports whether all of some addresses are among others.
func contains(all, some []netip.AddrPort) bool {
	for _, a := range some {
		if !slices.Contains(all, a) {
			return false
		}
	}
	return true
}

// doubt makes the next word of an instance worth telling.
func (r *reporter) doubt(key string) {
	if t := r.told[key]; t != nil {
		t.again = true
	}
}

// forget makes an instance new again.
func (r *reporter) forget(key string) {
	if t := r.told[key]; t != nil {
		r.wait(t, false)
		delete(r.told, key)
	}
}

func (r *reporter) wait(t *telling, pending bool) {
	if t.pending != pending {
		t.pending = pending
		if pending {
			r.waiting++
		} else {
			r.waiting--
		}
	}
}

// advance tells what waited, and next when there will be something.
func (r *reporter) advance(now time.Time, find func(key string) *instance) {
	if r.waiting == 0 {
		return
	}
	for key, t := range inOrder(r.told, strings.Compare) {
		if t.pending && now.Sub(t.at) >= gather {
			r.wait(t, false)
			if in := find(key); in != nil {
				r.report(now, in, false)
			}
		}
	}
}

func (r *reporter) next() (first time.Time) {
	if r.waiting == 0 {
		return first
	}
	for _, t := range r.told {
		if at := t.at.Add(gather); t.pending && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}
