package mesh

import (
	"net"
	"sync"

	"example.com/tcpnet/internal/link"
)

// asks are the streams that peers were asked to dial (PROTOCOL.md section 12.2). The
// zero value has none.
type asks struct {
	mu   sync.Mutex // guards what follows, and the asks
	open map[link.Nonce]*ask
}

// ask is one of them. Its outcome comes by got, once.
type ask struct {
	set     *asks
	nonce   link.Nonce
	link    link.LinkID
	service string
	want    func() bool // claims the stream, unless it was opened another way
	got     chan asked
	over    bool // an outcome is in got, or nobody waits for it
}

// asked is what came of an ask.
type asked struct {
	conn net.Conn
	err  error
}

// add makes an ask, to be sent over a link. It has to be dropped.
func (t *asks) add(id link.LinkID, service string, want func() bool) *ask {
	a := &ask{set: t, nonce: link.NewNonce(), link: id, service: service, want: want, got: make(chan asked, 1)}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil {
		t.open = make(map[link.Nonce]*ask)
	}
	t.open[a.nonce] = a
	return a
}

// take returns the ask that a socket belongs to, for the first such socket alone,
// and nil if there is none or its stream was opened another way.
func (t *asks) take(id link.LinkID, nonce link.Nonce, service string) *ask {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.open[nonce]
	if a == nil || a.link != id || a.service != service || !a.want() {
		return nil
	}
	delete(t.open, nonce)
	return a
}

// refuse takes the answer that no socket will come.
func (t *asks) refuse(id link.LinkID, nonce link.Nonce, err error) {
	t.mu.Lock()
	a := t.open[nonce]
	if a != nil && a.link == id {
		delete(t.open, nonce)
	} else {
		a = nil
	}
	t.mu.Unlock()
	if a != nil {
		a.finish(asked{err: err})
	}
}

// finish says what came of an ask that was taken. A socket for which nobody waits
// any more is closed.
func (a *ask) finish(o asked) {
	a.set.mu.Lock()
	defer a.set.mu.Unlock()
	if !a.over {
		a.over = true
		a.got <- o // buffered
	} else if o.conn != nil {
		o.conn.Close()
	}
}

// drop ends an ask whose outcome nobody waits for any more.
func (a *ask) drop() {
	a.set.mu.Lock()
	defer a.set.mu.Unlock()
	delete(a.set.open, a.nonce)
	a.over = true
	select {
	case o := <-a.got:
		if o.conn != nil {
			o.conn.Close()
		}
	default:
	}
}
