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
	// hedge is how long a socket is given to be established before a second one
	// to the same address is tried too, and a third after twice that time. A
	// lost SYN costs the kernel a second.
	hedge = 250 * time.Millisecond
	// patience is how long a socket that is established is given to come to an
	// end before others are tried. It waits for a process then, which may be
	// busy, and bytes that are lost the kernel repeats sooner.
	patience = time.Second
	// privacy is patience where the socket has to be made private first, which
	// costs so much that doing it twice makes a busy machine busier.
	privacy = 3 * time.Second
	// sockets is how many one address gets in one race, and hedged how many
	// addresses get more than one.
	sockets = 3
	hedged  = 3
)

var errNoAddress = errors.New("no address to dial")

// attempt is one socket of a race: it dials the address and goes on until it knows
// what came of it. ctx ends when another attempt has won.
type attempt func(ctx context.Context, addr netip.AddrPort, r *contest) error

// race makes attempts at the addresses: the next when the one before fails or
// takes its time, and then again at those that have neither answered nor refused.
// It returns nil when one has won and returned, and the last error when all have
// failed. room is how many second sockets the node may have at once, in all races:
// a node that is slow because it is busy must not make itself busier.
func race(ctx context.Context, addrs []netip.AddrPort, room *atomic.Int32, try attempt) error {
	if len(addrs) == 0 {
		return errNoAddress
	}
	r := &contest{ctx: ctx, try: try, room: room, cancels: make(map[context.Context]context.CancelFunc)}
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
	r.timer = time.AfterFunc(time.Hour, r.late)
	r.arm(r.delay())
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
	due     time.Time                              // when it is to call late
	open    int                                    // attempts under way
	cancels map[context.Context]context.CancelFunc // of those
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

// arm calls late after d. It is called with mu held.
func (r *contest) arm(d time.Duration) {
	r.due = time.Now().Add(d)
	r.timer.Reset(d)
}

// tolerance is how late a timer of a node that is not busy may be.
const tolerance = 50 * time.Millisecond

// late begins another attempt because the others take their time. If it is called
// late itself, it is this node that takes its time.
func (r *contest) late() {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.open == 0:
	case time.Since(r.due) > tolerance:
		r.arm(r.delay())
	default:
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
			r.arm(r.delay())
			return
		}
	}
	r.queue = r.queue[1:]
	run := r.begin(h)
	r.arm(r.delay())
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
	r.open++
	r.cancels[ctx] = cancel
	return func() {
		err := r.try(ctx, h.addr, r)
		cancel()
		r.mu.Lock()
		defer r.mu.Unlock()
		r.open--
		delete(r.cancels, ctx)
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

// established says that an attempt's socket is connected.
func (r *contest) established() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.won {
		r.arm(patience)
	}
}

// hold says that the socket that is established will take its time, and that another
// would take as long: it has to be made private.
func (r *contest) hold() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.won {
		r.arm(privacy)
	}
}

// win says that the attempt with this context has got what it is for. Only if it
// reports true may the attempt keep its socket, and go on for as long as it likes.
func (r *contest) win(attempt context.Context) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.won || r.ctx.Err() != nil {
		return false
	}
	r.won = true
	r.timer.Stop()
	for ctx, cancel := range r.cancels {
		if ctx != attempt {
			cancel()
		}
	}
	return true
}

// definite reports whether an attempt has an answer that will not change at once. A
// socket that was reset has met somebody who does not want it.
func definite(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EHOSTUNREACH) ||
		errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EADDRNOTAVAIL) || errors.As(err, new(*answer))
}
