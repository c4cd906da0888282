package queue

import "sync"

// Short is the length up to which a message is copied into each queue. A longer one
// is shared: see [Chunk].
const Short = 4 << 10

// block is messages that lie one behind the other in memory.
type block struct {
	chunk *Chunk  // whose bytes buf are; nil: the block's own
	buf   []byte  // all messages
	ends  []int32 // where in buf each of them ends
	next  int     // the first in ends that has not gone
	off   int     // the first in buf that has not gone
	size  int     // the index in blocks, if buf is the block's own
	begun bool    // the one message that is left is half written
}

// Blocks of short messages that are not in use, by size: from Short bytes, each twice
// as large as the one before. A queue begins with the smallest: most often that is
// enough.
var blocks [5]sync.Pool

// largestBlock is the size of the last of blocks.
const largestBlock = Short << (len(blocks) - 1)

// sharing are blocks without memory of their own that are not in use.
var sharing = sync.Pool{New: func() any { return &block{ends: make([]int32, 0, 1)} }}

// newBlock returns an empty block of a size.
func newBlock(size int) *block {
	if b, ok := blocks[size].Get().(*block); ok {
		return b
	}
	return &block{buf: make([]byte, 0, Short<<size), size: size}
}

// share returns a block of the message in c.
func share(c *Chunk) *block {
	b := sharing.Get().(*block)
	c.refs.Add(1)
	b.chunk, b.buf = c, c.buf
	b.ends = append(b.ends, int32(len(c.buf)))
	return b
}

// release ends the use of a block.
func (b *block) release() {
	chunk := b.chunk
	b.chunk, b.ends, b.next, b.off, b.begun = nil, b.ends[:0], 0, 0, false
	if chunk != nil {
		b.buf = nil
		sharing.Put(b)
		chunk.Release()
		return
	}
	b.buf = b.buf[:0]
	blocks[b.size].Put(b)
}

// rest returns the bytes that have not gone.
func (b *block) rest() []byte { return b.buf[b.off:] }

func (b *block) empty() bool { return b.next == len(b.ends) }

// cost returns what the block adds to its queue's cost.
func (b *block) cost() int { return len(b.rest()) + Overhead*(len(b.ends)-b.next) }

// start returns where the next message begins in buf.
func (b *block) start() int {
	if b.next == 0 {
		return 0
	}
	return int(b.ends[b.next-1])
}

// half reports whether the next message is half written.
func (b *block) half() bool { return b.begun || b.off > b.start() }

// skip drops the next message, and returns how long it was.
func (b *block) skip() (n int) {
	n = int(b.ends[b.next]) - b.off
	b.off += n
	b.next++
	return n
}

// advance says that n more bytes were written, and returns how many messages have
// gone with them.
func (b *block) advance(n int) (messages int) {
	b.off += n
	if b.off == len(b.buf) {
		messages = len(b.ends) - b.next
		b.next = len(b.ends)
		return messages
	}
	for int(b.ends[b.next]) <= b.off {
		b.next++
		messages++
	}
	return messages
}

// split takes what is left of a message that is half written out of the block. It
// returns nil if there is no other message in it.
func (b *block) split() *block {
	if len(b.ends)-b.next == 1 {
		b.begun = true
		return nil
	}
	begun := newBlock(0)
	begun.buf = append(begun.buf, b.buf[b.off:b.ends[b.next]]...)
	begun.ends = append(begun.ends, int32(len(begun.buf)))
	begun.begun = true
	b.skip()
	return begun
}
