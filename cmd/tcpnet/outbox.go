package main

import "time"

// maxOutbox is how many bytes may wait for one peer. A line of any length fits.
const maxOutbox = 4 << 20

// outbox holds the blocks of lines that wait to be sent to one peer.
type outbox struct {
	blocks [][]byte
	size   int // bytes of all blocks
}

// fits reports whether there is room for a block of size bytes. An empty outbox
// has room for any.
func (o *outbox) fits(size int) bool { return o.size == 0 || o.size+size <= maxOutbox }

func (o *outbox) put(block []byte) {
	o.blocks = append(o.blocks, block)
	o.size += len(block)
}

// take returns the oldest block, or nil.
func (o *outbox) take() []byte {
	if len(o.blocks) == 0 {
		return nil
	}
	block := o.blocks[0]
	o.blocks[0] = nil
	o.blocks = o.blocks[1:]
	o.size -= len(block)
	return block
}

// discard empties the outbox and returns how many lines were in it.
func (o *outbox) discard() (lines int) {
	for _, b := range o.blocks {
		lines += countLines(b)
	}
	*o = outbox{}
	return lines
}

// patience is how long the other peers are kept waiting for one that is slow. It
// is one second at most, spent while another peer could be sent to and is not, and
// regained at a tenth of the pace at which time goes by. So peers of similar speed
// miss nothing, and a slow one costs the others a tenth of their time.
type patience struct {
	left time.Duration
	at   time.Time // when left was true
}

const (
	maxPatience = time.Second
	regain      = 10 // time that has to pass for a unit of patience
)

func newPatience(now time.Time) patience { return patience{maxPatience, now} }

// remaining returns how much is left.
func (p *patience) remaining(now time.Time) time.Duration {
	p.left = min(maxPatience, p.left+now.Sub(p.at)/regain)
	p.at = now
	return p.left
}

// spend takes the time that has passed since from, until now.
func (p *patience) spend(from, now time.Time) {
	p.remaining(now)
	p.left -= now.Sub(from)
}
