// Package queue holds the messages that wait to be written to one peer, in bounded
// memory.
//
// A Queue is pure: it has no goroutine, no lock and no socket. Short messages are
// copied one behind the other, so that many of them leave in one write; long ones
// are shared by all the queues that they wait in.
package queue

import (
	"math"
	"slices"
)

// Overhead is what a message costs in a queue's books beyond its own bytes.
const Overhead = 16

// Tally counts messages and their bytes.
type Tally struct{ Messages, Bytes uint64 }

// Add adds more to t.
func (t *Tally) Add(more Tally) {
	t.Messages += more.Messages
	t.Bytes += more.Bytes
}

// Queue holds messages in the order in which they came. The zero Queue has no room;
// set Limit before its first use.
type Queue struct {
	Limit  int  // of Cost
	Oldest bool // a message that finds no room drops the oldest ones, not itself

	blocks   []*block // in order
	taken    int      // of these, the first ones are being written
	cost     int
	messages int
}

// Cost returns how many bytes wait, with the overhead of their messages.
func (q *Queue) Cost() int { return q.cost }

// Len returns how many messages wait. One that is half written counts.
func (q *Queue) Len() int { return q.messages }

// Put adds a copy of b or, if c is not nil, the message that c holds, which is b. It
// reports whether there was room, and which older messages were dropped to make it.
func (q *Queue) Put(b []byte, c *Chunk) (ok bool, dropped Tally) {
	cost := len(b) + Overhead
	if len(b) > math.MaxInt32 {
		return false, Tally{}
	}
	if q.cost+cost > q.Limit {
		if !q.Oldest || q.fixed()+cost > q.Limit {
			return false, Tally{}
		}
		dropped = q.makeRoom(cost)
	}
	q.cost += cost
	q.messages++
	if c != nil {
		q.blocks = append(q.blocks, share(c))
		return true, dropped
	}
	tail := q.tail()
	if tail == nil || cap(tail.buf)-len(tail.buf) < len(b) {
		tail = newBlock(q.next())
		q.blocks = append(q.blocks, tail)
	}
	tail.buf = append(tail.buf, b...)
	tail.ends = append(tail.ends, int32(len(tail.buf)))
	return true, dropped
}

// tail returns the block that a short message may be added to, or nil. It may be
// taken: what is being written ends before what is added.
func (q *Queue) tail() *block {
	if n := len(q.blocks); n > 0 {
		if b := q.blocks[n-1]; b.chunk == nil && !b.begun {
			return b
		}
	}
	return nil
}

// next returns the index of the size of the next block: twice that of the one before,
// if that is full of short messages.
func (q *Queue) next() int {
	if tail := q.tail(); tail != nil {
		return min(tail.size+1, len(blocks)-1)
	}
	return 0
}

// kept returns how many blocks at the front cannot be dropped: they are being
// written, or half a message of theirs was.
func (q *Queue) kept() int {
	if q.taken == 0 && len(q.blocks) > 0 && q.blocks[0].begun {
		return 1
	}
	return q.taken
}

// fixed returns what those cost that cannot be dropped.
func (q *Queue) fixed() (cost int) {
	for _, b := range q.blocks[:q.kept()] {
		cost += b.cost()
	}
	return cost
}

// makeRoom drops the oldest messages until there is room for cost.
func (q *Queue) makeRoom(cost int) (dropped Tally) {
	first := q.kept()
	last := first
	for q.cost+cost > q.Limit {
		b := q.blocks[last]
		n := b.skip()
		q.cost -= n + Overhead
		q.messages--
		dropped.Add(Tally{1, uint64(n)})
		if b.empty() {
			b.release()
			last++
		}
	}
	q.blocks = slices.Delete(q.blocks, first, last)
	return dropped
}

// Take appends what is to be written next to bufs: at least one block if any waits,
// and not many more bytes than most. Wrote has to follow.
func (q *Queue) Take(bufs [][]byte, most int) [][]byte {
	for q.taken < len(q.blocks) && most > 0 {
		b := q.blocks[q.taken].rest()
		bufs = append(bufs, b)
		most -= len(b)
		q.taken++
	}
	return bufs
}

// Taken reports whether Wrote has yet to follow upon Take.
func (q *Queue) Taken() bool { return q.taken > 0 }

// Wrote says that the first n bytes of what Take returned were written, and returns
// how many messages have gone with them. The others will be taken again.
func (q *Queue) Wrote(n int) (messages int) {
	q.cost -= n
	done := 0
	for _, b := range q.blocks[:q.taken] {
		k := min(n, len(b.rest()))
		n -= k
		messages += b.advance(k)
		if !b.empty() {
			break
		}
		b.release()
		done++
	}
	q.cost -= messages * Overhead
	q.messages -= messages
	q.taken = 0
	q.blocks = slices.Delete(q.blocks, 0, done)
	if len(q.blocks) > 0 && q.blocks[0].half() {
		// What is left of the message that was cut becomes a block of its
		// own: the messages behind it may still be dropped.
		if begun := q.blocks[0].split(); begun != nil {
			q.blocks = slices.Insert(q.blocks, 0, begun)
		}
	}
	return messages
}

// Discard empties the queue, which must not be Taken, and returns what was in it.
func (q *Queue) Discard() (dropped Tally) {
	for _, b := range q.blocks {
		dropped.Add(Tally{uint64(len(b.ends) - b.next), uint64(len(b.rest()))})
		b.release()
	}
	q.blocks, q.cost, q.messages = nil, 0, 0
	return dropped
}

// Release gives back what an empty queue has needed in a busy time.
func (q *Queue) Release() {
	if len(q.blocks) == 0 && cap(q.blocks) > 16 {
		q.blocks = nil
	}
}
