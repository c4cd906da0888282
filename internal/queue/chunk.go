package queue

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// Chunk is a message that several queues share. It is never changed.
type Chunk struct {
	buf  []byte
	refs atomic.Int32
}

// Chunks that are not in use, by size: the sizes are powers of two and three steps
// between each two of them, so that at most a fifth is wasted. Larger ones are not
// kept.
const (
	leastBits = 12 // 4 KiB
	mostBits  = 20 // 1 MiB
	steps     = 4
)

var chunks [(mostBits-leastBits)*steps + 1]sync.Pool

// size returns the size of the chunks in the pool with index i.
func size(i int) int {
	base := 1 << (leastBits + i/steps)
	return base + base/steps*(i%steps)
}

// class returns the index of the pool whose chunks n bytes fit in, or one that does
// not exist.
func class(n int) int {
	if n <= 1<<leastBits {
		return 0
	}
	shift := bits.Len(uint(n-1)) - 1 // 1<<shift < n <= 2<<shift
	step := 1 << shift / steps
	return (shift-leastBits)*steps + (n-1<<shift+step-1)/step
}

// NewChunk returns a copy of b for queues to share. Release ends the caller's part.
func NewChunk(b []byte) *Chunk {
	i := class(len(b))
	if i >= len(chunks) {
		c := &Chunk{buf: append([]byte(nil), b...)}
		c.refs.Store(1)
		return c
	}
	c, _ := chunks[i].Get().(*Chunk)
	if c == nil {
		c = &Chunk{buf: make([]byte, 0, size(i))}
	}
	c.buf = append(c.buf[:0], b...)
	c.refs.Store(1)
	return c
}

// Release ends the use of c by one of those who share it.
func (c *Chunk) Release() {
	if c.refs.Add(-1) == 0 {
		if i := class(cap(c.buf)); i < len(chunks) && size(i) == cap(c.buf) {
			chunks[i].Put(c)
		}
	}
}
