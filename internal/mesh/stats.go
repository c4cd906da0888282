package mesh

import (
	"errors"
	"sync/atomic"
	"time"

	"example.com/tcpnet/internal/link"
)

// HistogramBounds are the upper bounds of a Histogram's classes. What takes longer
// than the last falls into one more.
var HistogramBounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second,
}

// Histogram counts times by how long they are.
type Histogram struct {
	Counts [len(HistogramBounds) + 1]uint64 // by class
	Sum    time.Duration
}

// Stats are what a mesh has done since it began.
type Stats struct {
	Dials        uint64    // attempts at a peer or seed, of all its addresses together
	DialFailures uint64    // of these, those that led to nobody
	Handshakes   Histogram // from the first SYN to an address until the answer to HELLO
	RTT          Histogram // round trips that were measured
	Strangers    Strangers

	Missing int // nodes that are known, have not left, and are not linked now
	Pending int // strangers now inside
	Dialing int // attempts under way
}

// histogram is one that is being filled.
type histogram struct {
	counts [len(HistogramBounds) + 1]atomic.Uint64
	sum    atomic.Int64
}

func (h *histogram) observe(d time.Duration) {
	class := 0
	for class < len(HistogramBounds) && d > HistogramBounds[class] {
		class++
	}
	h.counts[class].Add(1)
	h.sum.Add(int64(d))
}

func (h *histogram) load() (out Histogram) {
	for i := range h.counts {
		out.Counts[i] = h.counts[i].Load()
	}
	out.Sum = time.Duration(h.sum.Load())
	return out
}

// counters are what Stats are made of.
type counters struct {
	dials, dialFailures atomic.Uint64
	handshakes, rtt     histogram
}

// dialFailed counts an attempt that has failed with err. Finding out that there is a
// link already, or that the address is the node's own, is no failure.
func (c *counters) dialFailed(err error) {
	var a *answer
	if errors.As(err, &a) && (a.code == link.CodeDuplicate || a.code == link.CodeSelf) {
		return
	}
	c.dialFailures.Add(1)
}

// Stats returns what the mesh has done.
func (m *Mesh) Stats() Stats {
	st := Stats{
		Dials:        m.counters.dials.Load(),
		DialFailures: m.counters.dialFailures.Load(),
		Handshakes:   m.counters.handshakes.load(),
		RTT:          m.counters.rtt.load(),
		Strangers:    m.log.strangers(),
		Pending:      m.gate.pending(),
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	st.Dialing = m.core.dialing
	now := time.Now()
	for _, p := range m.core.peers {
		if p.sess == nil && !p.hasLeft(now) {
			st.Missing++
		}
	}
	return st
}
