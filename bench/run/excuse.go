package main

import "math"

// excuses tell when two nodes have a reason to lose each other: a fault that lies
// between them, or did until a while ago. It is pure; times are the nodes' own.
type excuses struct {
	grace int64 // how long after a fault its effects may show
	until map[pair]int64
	count map[pair]int // faults that last
}

func newExcuses(grace int64) *excuses {
	return &excuses{grace, make(map[pair]int64), make(map[pair]int)}
}

// between returns the pair of two nodes, whichever comes first.
func between(a, b int) pair { return pair{min(a, b), max(a, b)} }

// begin says that a fault has begun between the nodes of each pair.
func (x *excuses) begin(pairs []pair) {
	for _, p := range pairs {
		x.count[p]++
		x.until[p] = math.MaxInt64
	}
}

// end says that it has ended.
func (x *excuses) end(pairs []pair, now int64) {
	for _, p := range pairs {
		if x.count[p]--; x.count[p] == 0 {
			x.until[p] = now + x.grace
		}
	}
}

// has reports whether two nodes may lose each other at a time.
func (x *excuses) has(a, b int, at int64) bool {
	return a != b && at <= x.until[between(a, b)]
}

// around returns the pairs of one node with each of n.
func around(place, n int) (pairs []pair) {
	for other := range n {
		if other != place {
			pairs = append(pairs, between(place, other))
		}
	}
	return pairs
}

// across returns the pairs that a split of n nodes parts.
func across(side []bool) (pairs []pair) {
	for a := range side {
		for b := range a {
			if side[a] != side[b] {
				pairs = append(pairs, between(a, b))
			}
		}
	}
	return pairs
}
