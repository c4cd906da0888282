package main

import (
	"net"
	"sync"
)

// maxOutbox is how many bytes may wait for one peer.
const maxOutbox = 4 << 20

// outbox gathers messages for one peer while those before are written: what has
// gathered leaves in one write.
type outbox struct {
	conn net.Conn
	drop bool

	mu      sync.Mutex // guards what follows
	changed *sync.Cond // there is something to write, or room again
	next    []byte
	began   bool // the writer runs
	closed  bool
}

func newOutbox(c net.Conn, drop bool) *outbox {
	o := &outbox{conn: c, drop: drop}
	o.changed = sync.NewCond(&o.mu)
	return o
}

// put adds a message. If there is no room it is dropped, or waits.
func (o *outbox) put(b []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.next)+len(b) > maxOutbox && !o.closed {
		if o.drop {
			return
		}
		o.changed.Wait()
	}
	if !o.began {
		o.began = true
		go o.write()
	}
	o.next = append(o.next, b...)
	o.changed.Broadcast()
}

// write writes until the connection ends.
func (o *outbox) write() {
	var now []byte
	for {
		o.mu.Lock()
		for len(o.next) == 0 && !o.closed {
			o.changed.Wait()
		}
		closed := o.closed
		now, o.next = o.next, now[:0]
		o.changed.Broadcast()
		o.mu.Unlock()
		if closed {
			return
		}
		if _, err := o.conn.Write(now); err != nil {
			o.close()
		}
	}
}

func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.changed.Broadcast()
}

// broadcast sends a message to all peers. One goroutine at a time calls it.
func (n *node) broadcast(b []byte) {
	n.mu.Lock()
	n.boxes = n.boxes[:0]
	for _, o := range n.conns {
		n.boxes = append(n.boxes, o)
	}
	n.mu.Unlock()
	for _, o := range n.boxes {
		o.put(b)
	}
}
