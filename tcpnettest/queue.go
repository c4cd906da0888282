package tcpnettest

import (
	"cmp"
	"container/heap"
	"time"
)

// An event is something that the network does at one instant.
type event struct {
	at   int64  // ns since the LAN began
	flow uint64 // which flow it belongs to, and
	seq  uint64 // its place there: the order of events that are due at once
	do   func() // called with LAN.mu held

	index int // in the queue; -1: not in it
}

// queue is a heap of events, the earliest first. Of those that are due at once the
// order does not depend on which goroutine was faster.
type queue []*event

func (q queue) Len() int { return len(q) }

func (q queue) Less(i, j int) bool {
	a, b := q[i], q[j]
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.flow, b.flow), cmp.Compare(a.seq, b.seq)) < 0
}

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

func (q *queue) Push(x any) {
	e := x.(*event)
	e.index = len(*q)
	*q = append(*q, e)
}

func (q *queue) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	e.index = -1
	return e
}

// now returns the time since the LAN began.
func (l *LAN) now() int64 { return int64(time.Since(l.began)) }

// schedule has e happen. It is called with mu held.
func (l *LAN) schedule(e *event) {
	heap.Push(&l.queue, e)
	if e.index == 0 {
		l.arm()
	}
}

// reschedule moves e, which may be scheduled already, to another time. It is called
// with mu held.
func (l *LAN) reschedule(e *event, at int64) {
	if e.index < 0 {
		e.at = at
		l.schedule(e)
		return
	}
	first := l.queue[0]
	e.at = at
	heap.Fix(&l.queue, e.index)
	if l.queue[0] != first || first == e {
		l.arm()
	}
}

// cancel takes e out of the queue. It is called with mu held.
func (l *LAN) cancel(e *event) {
	if e.index >= 0 {
		heap.Remove(&l.queue, e.index)
	}
}

// arm sets the timer to the first event, which has an instant of its own: virtual
// time goes on only when nothing moves any more, so that whatever an event brings
// about is over when the next one happens. It is called with mu held.
func (l *LAN) arm() {
	if len(l.queue) == 0 || l.ended {
		return
	}
	at := max(l.queue[0].at, l.ticked+1)
	l.timer.Reset(time.Duration(at - l.now()))
}

// tick lets the first event happen.
func (l *LAN) tick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if l.ended || len(l.queue) == 0 {
		return
	}
	if l.queue[0].at <= now && now > l.ticked {
		l.ticked = now
		e := heap.Pop(&l.queue).(*event)
		l.events++
		e.do()
	}
	l.arm()
}
