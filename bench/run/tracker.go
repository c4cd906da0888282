package main

import (
	"fmt"
	"io"

	"example.com/tcpnet/bench/report"
)

// tracker follows who is connected to whom from the events of all nodes. It is
// pure: events go in, the state of the mesh comes out.
type tracker struct {
	index map[string]int // from a node's id to its place
	links map[pair]*half

	alarms map[alarm]int // what ended or was told since the last call of calm
}

// pair is one direction of a pair of nodes: what from says of to.
type pair struct{ from, to int }

// half is what one node has reported of another.
type half struct {
	conns int   // connections it holds now
	one   int64 // when it last came to hold exactly one
	gone  int64 // when it last lost one
	left  int64 // when the library last reported that the peer left
}

func newTracker() *tracker {
	return &tracker{index: make(map[string]int), links: make(map[pair]*half), alarms: make(map[alarm]int)}
}

// add makes id known as the node at place i. A node that is started again
// under another id takes the place over.
func (t *tracker) add(i int, id string) {
	t.index[id] = i
	for p := range t.links {
		if p.from == i {
			delete(t.links, p)
		}
	}
}

// apply takes in an event that the node at place from reported.
func (t *tracker) apply(from int, e report.Event) error {
	switch e.Kind {
	case report.Connected, report.Gone, report.Left:
	default:
		return nil
	}
	to, known := t.index[e.Peer]
	if !known || to == from {
		return fmt.Errorf("node %d reports the peer %q, which is none of its peers", from, e.Peer)
	}
	h := t.half(from, to)
	switch e.Kind {
	case report.Connected:
		h.conns++
	case report.Gone:
		h.conns--
		h.gone = e.At
		t.alarms[alarm{e.Kind, e.Text}]++
	case report.Left:
		h.left = e.At
		t.alarms[alarm{e.Kind, e.Text}]++
	}
	if h.conns == 1 && e.Kind != report.Left {
		h.one = e.At
	}
	return nil
}

// calm forgets the alarms so far.
func (t *tracker) calm() { clear(t.alarms) }

func (t *tracker) half(from, to int) *half {
	p := pair{from, to}
	if t.links[p] == nil {
		t.links[p] = new(half)
	}
	return t.links[p]
}

// fullAt says whether every two of nodes hold exactly one connection to each
// other, by the word of both, and since when.
func (t *tracker) fullAt(nodes []int) (at int64, full bool) {
	for _, a := range nodes {
		for _, b := range nodes {
			if a == b {
				continue
			}
			h := t.half(a, b)
			if h.conns != 1 {
				return 0, false
			}
			at = max(at, h.one)
		}
	}
	return at, true
}

// joinedAt says whether node a and each of others hold exactly one connection
// to each other, by the word of both, and since when.
func (t *tracker) joinedAt(a int, others []int) (at int64, joined bool) {
	for _, b := range others {
		if a == b {
			continue
		}
		there, back := t.half(a, b), t.half(b, a)
		if there.conns != 1 || back.conns != 1 {
			return 0, false
		}
		at = max(at, there.one, back.one)
	}
	return at, true
}

// missing counts the pairs of nodes of which one at least holds no connection
// to the other, and doubled those of which one at least holds several.
func (t *tracker) missing(nodes []int) (missing, doubled int) {
	for i, a := range nodes {
		for _, b := range nodes[i+1:] {
			there, back := t.half(a, b).conns, t.half(b, a).conns
			if there < 1 || back < 1 {
				missing++
			}
			if there > 1 || back > 1 {
				doubled++
			}
		}
	}
	return missing, doubled
}

// goneAt says whether each of observers has lost its connections to a since
// the given time, and when the last of them noticed.
func (t *tracker) goneAt(a int, observers []int, since int64) (at int64, all bool) {
	return t.noticed(a, observers, since, func(h *half) int64 {
		if h.conns > 0 {
			return 0
		}
		return h.gone
	})
}

// leftAt is goneAt by the reports of the library instead of the connection.
func (t *tracker) leftAt(a int, observers []int, since int64) (at int64, all bool) {
	return t.noticed(a, observers, since, func(h *half) int64 { return h.left })
}

func (t *tracker) noticed(a int, observers []int, since int64, when func(*half) int64) (at int64, all bool) {
	for _, b := range observers {
		if a == b {
			continue
		}
		w := when(t.half(b, a))
		if w < since {
			return 0, false
		}
		at = max(at, w)
	}
	return at, true
}

// alarm is a connection that ended, or a departure that was told, and why.
type alarm struct {
	kind report.Kind // Gone or Left
	why  string
}

// count returns how many alarms of a kind there were since calm.
func (t *tracker) count(kind report.Kind) (n int) {
	for a, times := range t.alarms {
		if a.kind == kind {
			n += times
		}
	}
	return n
}

// writeAlarms writes how often there was which alarm since calm.
func (t *tracker) writeAlarms(w io.Writer) {
	for a, n := range t.alarms {
		fmt.Fprintf(w, "  %d times %c: %s\n", n, a.kind, a.why)
	}
}
