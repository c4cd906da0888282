package tcpnet

import (
	"iter"

	"example.com/tcpnet/internal/queue"
)

// Queue says what is kept for a peer that reads more slowly than messages are sent to
// it by [Node.Broadcast] and [Conn.Send].
type Queue struct {
	// Size is how many bytes may wait for one peer; the default is 1 MiB. Each
	// message counts 16 bytes more than it has. A message that could never
	// wait is always dropped: use Conn.Write for large ones.
	Size int

	// Full says what happens to a message that finds no room.
	Full Policy
}

// Policy says what happens to a message that finds no room in a peer's [Queue].
type Policy uint8

const (
	DropNewest Policy = iota // it is dropped
	DropOldest               // the oldest that are not being written yet are dropped to make room
	CloseSlow                // the connection is closed, with ErrSlow; another takes its place after a while
)

// Outcome is what became of a message to one peer.
type Outcome uint8

const (
	OutcomeDropped Outcome = iota // there was no room, or the connection is closed
	OutcomeQueued                 // it waits behind others
	OutcomeSent                   // nothing waited before it: it is being written
)

// String returns the outcome as a word.
func (o Outcome) String() string {
	switch o {
	case OutcomeSent:
		return "sent"
	case OutcomeQueued:
		return "queued"
	}
	return "dropped"
}

// Delivery is what became of a broadcast.
type Delivery struct {
	Sent    int // how many peers nothing waited for before it
	Queued  int // how many it waits for behind other messages
	Dropped int // how many it was dropped for
	Backlog int // bytes that wait for the slowest of them now

	conns []*Conn
	few   [32]Outcome
	many  []Outcome // if there are more peers
}

// Peers returns the connections that the message was for, with what became of it.
func (d Delivery) Peers() iter.Seq2[*Conn, Outcome] {
	return func(yield func(*Conn, Outcome) bool) {
		outcomes := d.many
		if outcomes == nil {
			outcomes = d.few[:]
		}
		for i, c := range d.conns {
			if !yield(c, outcomes[i]) {
				return
			}
		}
	}
}

// Broadcast sends b to all peers that are connected now, and returns at once. b may
// be used again then.
//
// For each peer the message is queued in bounded memory and leaves together with
// others that wait, in the order in which they were sent: one that reads slowly, or
// not at all, costs the others nothing. When its queue is full, Config.Queue says what
// is dropped. That is told by the Delivery, by [Dropped] events and in Status.
//
// Messages have no bounds on the wire: the peer reads a stream of bytes.
func (n *Node) Broadcast(b []byte) Delivery {
	d := Delivery{conns: n.liveConns()}
	outcomes := d.few[:]
	if len(d.conns) > len(outcomes) {
		d.many = make([]Outcome, len(d.conns))
		outcomes = d.many
	}
	var c *queue.Chunk
	if len(b) > queue.Short && len(b) < n.cfg.Queue.Size && len(d.conns) > 0 {
		c = queue.NewChunk(b)
		defer c.Release()
	}
	for i, conn := range d.conns {
		o, waits := conn.out.put(b, c)
		outcomes[i] = o
		switch o {
		case OutcomeSent:
			d.Sent++
		case OutcomeQueued:
			d.Queued++
		default:
			d.Dropped++
		}
		d.Backlog = max(d.Backlog, waits)
	}
	return d
}

// liveConns returns Connections in a slice that is not to be changed.
func (n *Node) liveConns() []*Conn {
	if live := n.live.Load(); live != nil {
		return *live
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	live := n.connectionsLocked()
	n.live.Store(&live)
	return live
}

// Send sends b to the peer as [Node.Broadcast] does, and returns at once. b may be
// used again then.
//
// Send and Write may be mixed. What one call sends is never mixed with what another
// does, and Write goes behind what Send has queued before.
func (c *Conn) Send(b []byte) Outcome {
	var shared *queue.Chunk
	if len(b) > queue.Short && len(b) < c.node.cfg.Queue.Size {
		shared = queue.NewChunk(b)
		defer shared.Release()
	}
	o, _ := c.out.put(b, shared)
	return o
}
