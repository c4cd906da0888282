package mesh

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// How sockets to the addresses of one node are raced (RFC 8305 section 5, with
// shorter delays: most are on the local network).
const (
	// stagger is how long one address is given before the next is tried too.
	stagger = 100 * time.Millisecond
	// hedge is how long the whole handshake is given before a second socket to
	// the same address is tried too, and a third after twice that time. A lost
	// SYN costs the kernel a second, and lost bytes ever more.
	hedge = 250 * time.Millisecond
	// sockets is how many one address gets in one race, and hedged how many
	// addresses get more than one.
	sockets = 3
	hedged  = 3
)

var errNoAddress = errors.New("no address to dial")

// attempt is one socket of a race: it dials the address and goes on until it knows
// what came of it. It calls win when it has got what it is for; only if that
// reports true may it keep the socket, and go on for as long as it likes. ctx ends
// when another attempt has won.
type attempt func(ctx context.Context, addr netip.AddrPort, win func() bool) error

// race makes attempts at the addresses: the next when the one before fails or
// takes its time, and then again at those that have neither answered nor refused.
// It returns nil when one has won and returned, and the last error when all have
// failed. room is how many second sockets the node may have at once, in all races:
// a node that is slow because it is busy must not make itself busier.
func race(ctx context.Context, addrs []netip.AddrPort, room *atomic.Int32, try attempt) error {
	if len(addrs) == 0 {
		return errNoAddress
	}
	r := &contest{ctx: ctx, try: try, room: room, cancels: make(map[int]context.CancelFunc)}
	for round := range sockets {
		for i, a := range addrs {
			if round == 0 || i < hedged {
				r.queue = append(r.queue, heat{a, round})
			}
		}
	}
	// The first one needs no goroutine, and mostly no other is needed.
	first := r.queue[0]
	r.queue = r.queue[1:]
	r.mu.Lock()
	r.timer = time.AfterFunc(r.delay(), r.late)
	run := r.begin(first)
	r.mu.Unlock()
	run()
	r.wg.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.timer.Stop()
	if r.won {
		return nil
	}
	return r.err
}

// contest is a race that is under way.
type contest struct {
	ctx  context.Context
	try  attempt
	room *atomic.Int32
	wg   sync.WaitGroup // the attempts but the first

	mu      sync.Mutex // guards what follows
	queue   []heat     // not begun yet
	timer   *time.Timer
	open    int // attempts under way
	begun   int
	cancels map[int]context.CancelFunc // of those
	won     bool
	err     error // the last one
}

// heat is an attempt to come: the how manieth at this address.
type heat struct {
	addr  netip.AddrPort
	round int
}

// delay returns how long to wait before the next heat, counted from the one before.
// It is called with mu held.
func (r *contest) delay() time.Duration {
	if len(r.queue) == 0 {
		return time.Hour
	}
	if next := r.queue[0]; next.round > 0 {
		return hedge * time.Duration(next.round)
	}
	return stagger
}

// late begins another attempt because the others take their time.
func (r *contest) late() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open > 0 {
		r.nextLocked()
	}
}

// nextLocked begins the next attempt, if there is one. It is called with mu held.
func (r *contest) nextLocked() {
	if r.won || len(r.queue) == 0 || r.ctx.Err() != nil {
		return
	}
	h := r.queue[0]
	if h.round > 0 {
		if r.room.Add(-1) < 0 {
			r.room.Add(1)
			r.timer.Reset(r.delay())
			return
		}
	}
	r.queue = r.queue[1:]
	run := r.begin(h)
	r.timer.Reset(r.delay())
	r.wg.Go(func() {
		run()
		if h.round > 0 {
			r.room.Add(1)
		}
	})
}

// begin takes note of an attempt and returns what makes it. It is called with mu
// held.
func (r *contest) begin(h heat) (run func()) {
	ctx, cancel := context.WithCancel(r.ctx)
	n := r.begun
	r.begun++
	r.open++
	r.cancels[n] = cancel
	return func() {
		err := r.try(ctx, h.addr, func() bool { return r.win(n) })
		cancel()
		r.mu.Lock()
		defer r.mu.Unlock()
		r.open--
		delete(r.cancels, n)
		if r.won || err == nil {
			r.won = true
			return
		}
		r.err = err
		if definite(err) { // no use in asking there again
			r.queue = slices.DeleteFunc(r.queue, func(q heat) bool { return q.addr == h.addr })
		}
		if r.open == 0 || definite(err) && len(r.queue) > 0 && r.queue[0].round == 0 {
			r.nextLocked()
		}
	}
}

// win lets attempt n win, if none has before, and ends the others.
func (r *contest) win(n int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.won || r.ctx.Err() != nil {
		return false
	}
	r.won = true
	r.timer.Stop()
	for i, cancel := range r.cancels {
		if i != n {
			cancel()
		}
	}
	return true
}

// definite reports whether an attempt has an answer that will not change at once.
func definite(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EHOSTUNREACH) ||
		errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EADDRNOTAVAIL) || errors.As(err, new(*answer))
}
