package tcpnet

import (
	"errors"
	"maps"
	"slices"
	"time"

	"example.com/tcpnet/discovery/mdns"
	"example.com/tcpnet/internal/mesh"
	"example.com/tcpnet/internal/queue"
)

// Stats are what a node has done since Join, in numbers, and how many of each thing
// there are now. The module example.com/tcpnet/metrics makes Prometheus metrics of
// them.
type Stats struct {
	Connected int `json:"connected"` // peers that the program has a connection to now
	Missing   int `json:"missing"`   // nodes that are known, have not left, and are not linked now
	Pending   int `json:"pending"`   // sockets that have come in and whose handshake is not finished
	Dialing   int `json:"dialing"`   // attempts to connect that are under way
	Streams   int `json:"streams"`   // that are open now

	Joined    uint64            `json:"joined"`    // connections that came up
	Left      map[string]uint64 `json:"left"`      // connections that ended, by reason: left, timeout, restarted, reset, replaced, slow, closed
	Rejected  map[string]uint64 `json:"rejected"`  // Rejected events, by reason: duplicate_id, not_admitted, refused, wrong_name, not_tcpnet, version, private, open, no_secret, certificate, other
	Strangers Strangers         `json:"strangers"` // as in Status

	Dials        uint64    `json:"dials"`         // attempts at a node, at all its addresses together
	DialFailures uint64    `json:"dial_failures"` // of these, those that led to nobody
	Handshakes   Histogram `json:"handshakes"`    // from the first packet to a node until its answer
	RTT          Histogram `json:"rtt"`           // round trips to peers that were measured

	// What a copy by io.Copy writes without a copy in the program is counted when that
	// ends, except on Linux.
	BytesRead    uint64 `json:"bytes_read"`    // by the program, of all connections
	BytesWritten uint64 `json:"bytes_written"` // by the program, to all connections

	Send    SendStatus `json:"send"`    // of all connections together
	Backlog uint64     `json:"backlog"` // bytes that wait now for the slowest peer

	MDNS *mdns.Stats `json:"mdns,omitempty"` // if the node is found by mDNS; of all nodes of the process
}

// Histogram counts times by how long they were.
type Histogram struct {
	Bounds []time.Duration `json:"bounds"` // the longest of each class, in ns; what is longer falls into one more
	Counts []uint64        `json:"counts"` // of each class
	Sum    time.Duration   `json:"sum"`    // of all, in ns
}

// reason is an error that has a word for it.
type reason struct {
	err  error
	word string
}

var leftReasons = []reason{
	{ErrLeft, "left"},
	{ErrTimeout, "timeout"},
	{ErrRestarted, "restarted"},
	{ErrReset, "reset"},
	{ErrReplaced, "replaced"},
	{ErrSlow, "slow"},
	{ErrClosed, "closed"},
}

var rejectedReasons = []reason{
	{ErrDuplicateID, "duplicate_id"},
	{ErrNotAdmitted, "not_admitted"},
	{ErrRefused, "refused"},
	{ErrWrongName, "wrong_name"},
	{ErrNotTCPNet, "not_tcpnet"},
	{ErrVersion, "version"},
	{ErrPrivate, "private"},
	{ErrOpen, "open"},
	{ErrNoSecret, "no_secret"},
	{ErrCertificate, "certificate"},
}

// otherReason is the word for errors that have none.
const otherReason = "other"

// wordFor returns the word for err.
func wordFor(err error, reasons []reason) string {
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			return r.word
		}
	}
	return otherReason
}

// counters are those of Stats that the node keeps itself, guarded by Node.mu.
type counters struct {
	joined         uint64
	left, rejected map[string]uint64
	closed         transferred // connections that are closed
}

// transferred is what has gone over a connection.
type transferred struct {
	read, written uint64
	sent, dropped queue.Tally
}

func (t *transferred) add(c *Conn) {
	c.look()
	t.read += c.read.n.Load()
	t.written += c.written.n.Load()
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	t.sent.Add(c.out.sent)
	t.dropped.Add(c.out.dropped)
}

func newCounters() counters {
	c := counters{left: make(map[string]uint64), rejected: make(map[string]uint64)}
	for _, r := range leftReasons {
		c.left[r.word] = 0
	}
	for _, r := range append(slices.Clone(rejectedReasons), reason{word: otherReason}) {
		c.rejected[r.word] = 0
	}
	return c
}

// Stats returns the figures of this moment. All reasons are in its maps, also those
// that have not occurred.
func (n *Node) Stats() Stats {
	m := n.mesh.Stats()
	st := Stats{
		Missing:      m.Missing,
		Pending:      m.Pending,
		Dialing:      m.Dialing,
		Strangers:    Strangers(m.Strangers),
		Dials:        m.Dials,
		DialFailures: m.DialFailures,
		Handshakes:   newHistogram(m.Handshakes),
		RTT:          newHistogram(m.RTT),
	}
	for _, d := range n.cfg.Discovery {
		if d, ok := d.(interface{ Stats() mdns.Stats }); ok {
			s := d.Stats()
			st.MDNS = &s
			break
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	st.Connected, st.Streams = len(n.conns), len(n.streams)
	st.Joined, st.Left, st.Rejected = n.counters.joined, maps.Clone(n.counters.left), maps.Clone(n.counters.rejected)
	all := n.counters.closed
	for c := range n.all {
		all.add(c)
		s := c.out.status()
		st.Send.Queued += s.Queued
		st.Send.QueuedBytes += s.QueuedBytes
		st.Backlog = max(st.Backlog, s.QueuedBytes)
	}
	st.BytesRead, st.BytesWritten = all.read, all.written
	st.Send.Sent, st.Send.SentBytes = all.sent.Messages, all.sent.Bytes
	st.Send.Dropped, st.Send.DroppedBytes = all.dropped.Messages, all.dropped.Bytes
	return st
}

func newHistogram(h mesh.Histogram) Histogram {
	return Histogram{Bounds: mesh.HistogramBounds[:], Counts: h.Counts[:], Sum: h.Sum}
}
