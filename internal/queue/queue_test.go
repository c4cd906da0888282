package queue

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// message returns one that can be told from all others.
func message(number, size int) []byte {
	b := make([]byte, max(size, 8))
	for i := 0; i+8 <= len(b); i += 8 {
		binary.BigEndian.PutUint64(b[i:], uint64(number))
	}
	return b
}

// put adds b as a node does: a long one as a chunk.
func put(q *Queue, b []byte) (bool, Tally) {
	if len(b) <= Short {
		return q.Put(b, nil)
	}
	c := NewChunk(b)
	defer c.Release()
	return q.Put(b, c)
}

// drain writes all, and returns it.
func drain(q *Queue) (out []byte) {
	for q.Len() > 0 {
		n := 0
		for _, b := range q.Take(nil, 64<<10) {
			out = append(out, b...)
			n += len(b)
		}
		q.Wrote(n)
	}
	return out
}

func TestMessagesKeepTheirOrder(t *testing.T) {
	q := &Queue{Limit: 1 << 20}
	var want []byte
	for i, size := range []int{8, 64, 5000, 8, Short, Short + 1, 100_000, 16, 16} {
		b := message(i, size)
		want = append(want, b...)
		if ok, _ := put(q, b); !ok {
			t.Fatalf("no room for %d bytes", size)
		}
		clear(b) // the caller may use it again
	}
	if got := drain(q); !bytes.Equal(got, want) {
		t.Errorf("%d bytes came out that differ from the %d that went in", len(got), len(want))
	}
	if q.Cost() != 0 || q.Len() != 0 {
		t.Errorf("an empty queue of %d messages that cost %d", q.Len(), q.Cost())
	}
}

func TestShortMessagesLeaveTogether(t *testing.T) {
	q := &Queue{Limit: 1 << 20}
	for i := range 1000 {
		put(q, message(i, 64))
	}
	if n := len(q.Take(nil, 1<<20)); n > 5 {
		t.Errorf("1000 short messages are %d pieces", n)
	}
}

func TestFullQueueDropsTheNewest(t *testing.T) {
	q := &Queue{Limit: 3 * (100 + Overhead)}
	for i := range 5 {
		ok, dropped := put(q, message(i, 100))
		if ok != (i < 3) || dropped != (Tally{}) {
			t.Errorf("message %d: %v, dropped %v", i, ok, dropped)
		}
	}
	if got := drain(q); binary.BigEndian.Uint64(got[200:]) != 2 || len(got) != 300 {
		t.Errorf("the wrong ones were kept")
	}
}

func TestFullQueueDropsTheOldest(t *testing.T) {
	q := &Queue{Limit: 3 * (100 + Overhead), Oldest: true}
	for i := range 5 {
		ok, dropped := put(q, message(i, 100))
		if want := map[bool]Tally{true: {}, false: {1, 100}}[i < 3]; !ok || dropped != want {
			t.Errorf("message %d: %v, dropped %v", i, ok, dropped)
		}
	}
	got := drain(q)
	if binary.BigEndian.Uint64(got) != 2 || len(got) != 300 {
		t.Errorf("the wrong ones were kept")
	}
}

// The oldest messages are safe while they are being written, and one that is half
// written until it is whole.
func TestHalfWrittenMessageIsNotDropped(t *testing.T) {
	for _, size := range []int{400, 2 * Short} {
		cost := size + Overhead
		q := &Queue{Limit: 3 * cost, Oldest: true}
		for i := range 3 {
			put(q, message(i, size))
		}
		q.Take(nil, 1<<20)
		if ok, dropped := put(q, message(3, size)); ok || dropped != (Tally{}) {
			t.Errorf("size %d: all are being written, but the next was taken: %v, %v", size, ok, dropped)
		}
		q.Wrote(size / 2)
		if ok, dropped := put(q, message(4, size)); !ok || dropped != (Tally{1, uint64(size)}) {
			t.Errorf("size %d: %v, dropped %v", size, ok, dropped)
		}
		want := append(message(0, size)[size/2:], message(2, size)...)
		want = append(want, message(4, size)...)
		if got := drain(q); !bytes.Equal(got, want) {
			t.Errorf("size %d: %d bytes came out, want %d", size, len(got), len(want))
		}
	}
}

func TestMessageBeyondTheLimitIsRefused(t *testing.T) {
	for _, oldest := range []bool{false, true} {
		q := &Queue{Limit: 1000, Oldest: oldest}
		put(q, message(1, 100))
		if ok, dropped := put(q, message(2, 1000)); ok || dropped != (Tally{}) {
			t.Errorf("oldest %v: %v, and dropped %v for it", oldest, ok, dropped)
		}
	}
}

func TestDiscardTellsWhatWasThere(t *testing.T) {
	q := &Queue{Limit: 1 << 20}
	put(q, message(1, 100))
	put(q, message(2, 10_000))
	q.Take(nil, 1)
	q.Wrote(40)
	if d := q.Discard(); d != (Tally{2, 10_060}) || q.Cost() != 0 || q.Len() != 0 {
		t.Errorf("discarded %v, left %d messages that cost %d", d, q.Len(), q.Cost())
	}
}

// Whatever happens, what comes out is whole messages in their order, the books are
// right, and the memory is bounded.
func TestRandomHistories(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		q := &Queue{Limit: 1 << rnd.IntN(18), Oldest: seed%2 == 0}
		accepted := make(map[int]int) // sizes, by the numbers of the messages
		var lost Tally
		var out []byte
		pending := 0 // bytes taken
		for number := 1; number < 300; number++ {
			switch op := rnd.IntN(10); {
			case op < 7:
				size := 8 << rnd.IntN(12)
				ok, dropped := put(q, message(number, size))
				if ok {
					accepted[number] = size
				}
				if dropped != (Tally{}) && !q.Oldest {
					t.Fatalf("seed %d: dropped %v", seed, dropped)
				}
				lost.Add(dropped)
			case q.Taken():
				n := rnd.IntN(pending + 1)
				var all []byte
				for _, b := range q.blocks[:q.taken] {
					all = append(all, b.rest()...)
				}
				out = append(out, all[:n]...)
				q.Wrote(n)
				pending = 0
			default:
				for _, b := range q.Take(nil, 1+rnd.IntN(100_000)) {
					pending += len(b)
				}
			}
			cost, held := 0, 0
			for _, b := range q.blocks {
				cost += b.cost()
				held += cap(b.buf)
			}
			if cost != q.Cost() || cost > q.Limit {
				t.Fatalf("seed %d: cost %d in the books, %d in truth, limit %d", seed, q.Cost(), cost, q.Limit)
			}
			if held > 3*q.Limit+2*largestBlock {
				t.Fatalf("seed %d: %d bytes held, the limit is %d", seed, held, q.Limit)
			}
		}
		if q.Taken() {
			q.Wrote(0)
		}
		out = append(out, drain(q)...)
		last := 0
		for len(out) > 0 {
			number := int(binary.BigEndian.Uint64(out))
			size, ok := accepted[number]
			if !ok || number <= last || len(out) < size || !bytes.Equal(out[:size], message(number, size)) {
				t.Fatalf("seed %d: message %d after %d is not whole", seed, number, last)
			}
			delete(accepted, number)
			last, out = number, out[size:]
		}
		for _, size := range accepted {
			lost.Messages--
			lost.Bytes -= uint64(size)
		}
		if lost != (Tally{}) {
			t.Fatalf("seed %d: what was told to be lost is not what is missing: off by %v", seed, lost)
		}
	}
}

func TestChunkSizes(t *testing.T) {
	for n := 1; n <= 1<<mostBits; n += 37 {
		i := class(n)
		if size(i) < n || i > 0 && size(i-1) >= n {
			t.Fatalf("%d bytes go into a chunk of %d", n, size(i))
		}
		if class(size(i)) != i {
			t.Fatalf("a chunk of %d does not go back where it came from", size(i))
		}
	}
	if class(1<<mostBits+1) < len(chunks) {
		t.Error("chunks of any size are kept")
	}
}

func TestPutAndWriteWithoutAllocation(t *testing.T) {
	q := &Queue{Limit: 1 << 20}
	b := message(1, 64)
	var bufs [][]byte
	round := func() {
		for range 100 {
			q.Put(b, nil)
		}
		n := 0
		bufs = q.Take(bufs[:0], 1<<20)
		for _, b := range bufs {
			n += len(b)
		}
		q.Wrote(n)
	}
	round()
	if n := testing.AllocsPerRun(100, round); n > 20 { // blocks may be taken from their pools
		t.Errorf("%v allocations for 100 messages", n)
	}
}
