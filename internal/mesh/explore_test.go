package mesh

import (
	"flag"
	"fmt"
	"hash/maphash"
	"runtime/debug"
	"strings"
	"testing"
)

var deep = flag.Bool("explore.deep", false, "explore with larger bounds too: 17 million states, ten minutes, 4 GB (use -timeout 30m)")

// graph is all that can become of a world.
type graph struct {
	sc     *scenario
	first  *world
	seed   maphash.Seed
	index  map[uint64]uint32
	parent []uint32
	by     []event
	byW    []weight
	flags  []uint8
	from   []uint32
	to     []uint32
	weight []weight
	hasty  []bool // a back-off ends while something is under way, or a dial comes to nothing
}

const (
	isGood  = 1 << iota // the nodes agree
	isAware             // who can do something about it knows that they do not
)

// explore visits every state that can be reached, the nearest first. It returns
// the shortest trace to a state that breaks an invariant, if there is one.
func explore(sc *scenario, most int) (g *graph, trace string) {
	g = &graph{sc: sc, first: newWorld(sc), seed: maphash.MakeSeed(), index: make(map[uint64]uint32)}
	h := &hasher{seed: g.seed}
	g.index[h.sum(g.first)] = 0
	g.add(g.first, 0, event{}, 0)
	level, next := []*world{g.first}, []*world(nil)
	ids, nextIDs := []uint32{0}, []uint32(nil)
	var es []event
	var ws []weight
	for len(level) > 0 {
		next, nextIDs = nil, nil
		for i, w := range level {
			level[i] = nil
			es, ws = w.events(es[:0], ws[:0])
			busy := false
			for k, e := range es {
				busy = busy || ws[k] == sure && !e.kind.backoff() && !e.kind.timeout()
			}
			for k, e := range es {
				v := w.apply(e, ws[k], nil)
				sum := h.sum(v)
				id, seen := g.index[sum]
				if !seen {
					id = uint32(len(g.parent))
					g.index[sum] = id
					g.add(v, ids[i], e, ws[k])
					next, nextIDs = append(next, v), append(nextIDs, id)
				}
				g.from, g.to, g.weight = append(g.from, ids[i]), append(g.to, id), append(g.weight, ws[k])
				g.hasty = append(g.hasty, busy && e.kind.backoff() || e.kind == evDialOut)
				if v.broken != "" {
					if seen { // an invariant about the way, not about the state
						id = uint32(len(g.parent))
						g.add(v, ids[i], e, ws[k])
					}
					return g, v.broken + "\n" + g.trace(id)
				}
			}
			if len(g.parent) > most {
				if raced {
					return g, "" // none of those seen breaks an invariant
				}
				return g, fmt.Sprintf("more than %d states", most)
			}
		}
		level, ids = next, nextIDs
	}
	return g, g.judge()
}

func (g *graph) add(w *world, parent uint32, e event, wt weight) {
	f := uint8(0)
	if g.sc.good(w) {
		f |= isGood
	}
	if g.sc.aware(w) {
		f |= isAware
	}
	g.parent, g.by, g.byW, g.flags = append(g.parent, parent), append(g.by, e), append(g.byW, wt), append(g.flags, f)
}

// judge looks at the graph as a whole.
func (g *graph) judge() string {
	// From every state agreement can be reached without any luck.
	if id, ok := g.cannotReach(late, func(uint8) bool { return true }); ok {
		return "NO ZERO: agreement cannot be reached from here\n" + g.trace(id)
	}
	// And without waiting for a silence, if someone knows better.
	if id, ok := g.cannotReach(sure, func(f uint8) bool { return f&isAware != 0 }); ok {
		return "NO WAIT: agreement needs the keep-alive, although one who could dial knows that there is no link\n" + g.trace(id)
	}
	if cycle := g.cycle(); cycle != nil {
		return "NO LIVELOCK: the nodes can go round for ever without agreement, " + fmt.Sprint(len(cycle)) + " states\n" +
			g.trace(cycle[0]) + "--- and then round and round:\n" + g.round(cycle)
	}
	return ""
}

// cannotReach returns the first of the states chosen from which no good state is
// reached by events of at least the weight.
func (g *graph) cannotReach(least weight, chosen func(uint8) bool) (uint32, bool) {
	n := len(g.parent)
	start := make([]uint32, n+1)
	for i, to := range g.to {
		if g.weight[i] >= least {
			start[to+1]++
		}
	}
	for i := range n {
		start[i+1] += start[i]
	}
	back, fill := make([]uint32, start[n]), append([]uint32(nil), start[:n]...)
	for i, to := range g.to {
		if g.weight[i] >= least {
			back[fill[to]] = g.from[i]
			fill[to]++
		}
	}
	can := make([]bool, n)
	var todo []uint32
	for i, f := range g.flags {
		if f&isGood != 0 {
			can[i] = true
			todo = append(todo, uint32(i))
		}
	}
	for len(todo) > 0 {
		v := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, u := range back[start[v]:start[v+1]] {
			if !can[u] {
				can[u] = true
				todo = append(todo, u)
			}
		}
	}
	for i, ok := range can {
		if !ok && chosen(g.flags[i]) {
			return uint32(i), true
		}
	}
	return 0, false
}

// cycle returns states, not all of them good, that lead to one another without
// luck; nil if there are none. A back-off that is over before messages have arrived
// does not count, because it grows until that cannot be, nor does a dial that comes
// to nothing, which leaves everything as it was. (Tarjan's algorithm.)
func (g *graph) cycle() []uint32 {
	if g.sc.duplicates {
		return nil // the second dials for ever, and is turned away
	}
	n := len(g.parent)
	start := make([]uint32, n+1)
	for i, from := range g.from {
		if g.weight[i] > luck && !g.hasty[i] {
			start[from+1]++
		}
	}
	for i := range n {
		start[i+1] += start[i]
	}
	out, fill := make([]uint32, start[n]), append([]uint32(nil), start[:n]...)
	for i, from := range g.from {
		if g.weight[i] > luck && !g.hasty[i] {
			out[fill[from]] = g.to[i]
			fill[from]++
		}
	}
	const unseen = ^uint32(0)
	num, low := make([]uint32, n), make([]uint32, n)
	for i := range num {
		num[i] = unseen
	}
	on := make([]bool, n)
	var stack []uint32
	type call struct{ v, next uint32 }
	var calls []call
	count := uint32(0)
	for root := range uint32(n) {
		if num[root] != unseen {
			continue
		}
		calls = append(calls, call{root, start[root]})
		for len(calls) > 0 {
			c := &calls[len(calls)-1]
			v := c.v
			if num[v] == unseen {
				num[v], low[v] = count, count
				count++
				stack, on[v] = append(stack, v), true
			}
			if c.next < start[v+1] {
				u := out[c.next]
				c.next++
				if num[u] == unseen {
					calls = append(calls, call{u, start[u]})
				} else if on[u] {
					low[v] = min(low[v], num[u])
				}
				continue
			}
			calls = calls[:len(calls)-1]
			if len(calls) > 0 {
				p := calls[len(calls)-1].v
				low[p] = min(low[p], low[v])
			}
			if low[v] != num[v] {
				continue
			}
			var scc []uint32
			bad := false
			for {
				u := stack[len(stack)-1]
				stack, on[u] = stack[:len(stack)-1], false
				scc = append(scc, u)
				bad = bad || g.flags[u]&isGood == 0
				if u == v {
					break
				}
			}
			loops := len(scc) > 1
			for _, u := range out[start[v]:start[v+1]] {
				loops = loops || u == v
			}
			if loops && bad {
				return scc
			}
		}
	}
	return nil
}

// trace tells how a state is reached, by going there again.
func (g *graph) trace(id uint32) string {
	var b strings.Builder
	log := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	log("%s", g.replay(id, log).describe())
	return b.String()
}

// replay goes to a state.
func (g *graph) replay(id uint32, log func(string, ...any)) *world {
	var path []uint32
	for ; id != 0; id = g.parent[id] {
		path = append(path, id)
	}
	w := g.first
	for i := len(path) - 1; i >= 0; i-- {
		w = w.apply(g.by[path[i]], g.byW[path[i]], log)
	}
	return w
}

// round walks a cycle once.
func (g *graph) round(cycle []uint32) string {
	in := make(map[uint32]bool)
	for _, id := range cycle {
		in[id] = true
	}
	via := map[uint32]uint32{} // the state before, on the shortest way from cycle[0]
	todo := []uint32{cycle[0]}
	edges := map[uint32][]uint32{}
	for i, from := range g.from {
		if in[from] && in[g.to[i]] && g.weight[i] > luck && !g.hasty[i] {
			edges[from] = append(edges[from], g.to[i])
		}
	}
	var path []uint32
search:
	for len(todo) > 0 {
		v := todo[0]
		todo = todo[1:]
		for _, u := range edges[v] {
			if u == cycle[0] {
				for ; v != cycle[0]; v = via[v] {
					path = append(path, v)
				}
				break search
			}
			if _, ok := via[u]; !ok {
				via[u] = v
				todo = append(todo, u)
			}
		}
	}
	// The events are found by trying which leads to the next state.
	w := g.replay(cycle[0], nil)
	h := &hasher{seed: g.seed}
	var b strings.Builder
	log := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	for i := len(path); i >= 0; i-- {
		want := cycle[0]
		if i > 0 {
			want = path[i-1]
		}
		es, ws := w.events(nil, nil)
		for k, e := range es {
			if v := w.apply(e, ws[k], nil); ws[k] > luck && g.index[h.sum(v)] == want {
				w = w.apply(e, ws[k], log)
				break
			}
		}
	}
	return b.String()
}

// most bounds the exploration where there is no time for all of it: a state costs
// ten times as much under the race detector, which has nothing to find in a
// program that has one goroutine.
func most() int {
	switch {
	case raced:
		return 2_000
	case *deep:
		return 6_000_000
	default:
		return 200_000
	}
}

// Every interleaving of what can happen to a pair of nodes, and of a little of what
// can happen to three, is tried, in a number of scenarios, on the real core: no
// split, no double, no zero, no livelock, and agreement always within reach.
func TestExplore(t *testing.T) {
	total := make(chan int, 1)
	total <- 0
	t.Cleanup(func() { t.Logf("%d states in all", <-total) })
	before := debug.SetGCPercent(400) // nearly all that is allocated is kept for one level only
	t.Cleanup(func() { debug.SetGCPercent(before) })
	for _, sc := range scenarios() {
		if sc.deep && !*deep {
			continue
		}
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			g, trace := explore(sc, most())
			t.Logf("%s: %d states, %d events", sc.name, len(g.parent), len(g.from))
			if trace != "" {
				t.Error(trace)
			}
			total <- <-total + len(g.parent)
		})
	}
}
