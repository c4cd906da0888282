package tcpnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// Shutdown leaves the cluster in good order: it withdraws the node from discovery,
// says goodbye to all peers, ends the writing half of every connection once what Send
// has queued has gone, and waits until the peers have done the same and what they sent
// was read. Then it closes the node as Close does.
//
// Listeners are closed at once, and streams are treated as connections are: servers
// that run over them are to be shut down before.
//
// A connection or stream over which nothing comes or goes for 5 seconds is given up. If
// something that was written has not reached the peer's machine then, or the peer was
// lost before it had, the error is ErrNotDelivered; systems other than Linux do not tell
// what has. If ctx ends first, everything is closed at once, and ctx's error returned as
// soon as Config.Discovery has ended. On a node that is closed already, Shutdown returns
// nil.
func (n *Node) Shutdown(ctx context.Context) error {
	if n.Err() != nil {
		return nil
	}
	partings := n.partings(nil) // some may be lost before all is said
	n.mesh.CloseServices()
	n.withdraw()
	select {
	case <-n.withdrawn:
	case <-ctx.Done():
	}
	n.mesh.Leave()
	partings = n.partings(partings)
	// In a private cluster these may wait, for the peer or at the latest for Close.
	var halves sync.WaitGroup
	for _, p := range partings {
		halves.Go(func() { p.conn.CloseWrite() })
	}
	err := n.finish(ctx, partings)
	if cerr := n.Close(); err == nil {
		err = cerr
	}
	halves.Wait()
	return err
}

// open returns the connections and streams that are open now, also connections that
// have ended and that the program has not closed.
func (n *Node) open() (conns []*Conn, streams []*Stream) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.all {
		conns = append(conns, c)
	}
	for s := range n.streams {
		streams = append(streams, s)
	}
	return conns, streams
}

// partings returns all that Shutdown lets finish: what it has already, and what else is
// open by now.
func (n *Node) partings(have []parting) []parting {
	known := func(c net.Conn) bool {
		return slices.ContainsFunc(have, func(p parting) bool { return p.conn == c })
	}
	conns, streams := n.open()
	for _, c := range conns {
		if c.worthWaiting() && !known(c) {
			have = append(have, c.parting())
		}
	}
	for _, s := range streams {
		if !known(s) {
			have = append(have, s.parting())
		}
	}
	return have
}

// finish waits until all peers have finished.
func (n *Node) finish(ctx context.Context, all []parting) error {
	var wg sync.WaitGroup
	var mu sync.Mutex // guards short
	var short []string
	for _, p := range all {
		wg.Go(func() {
			if !n.finishOne(ctx, p) {
				mu.Lock()
				defer mu.Unlock()
				short = append(short, fmt.Sprintf("%s (%s)", p.peer.ID, p.peer.Label))
			}
		})
	}
	wg.Wait()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case len(short) > 0:
		slices.Sort(short)
		return fmt.Errorf("tcpnet: shutdown: %w: %s", ErrNotDelivered, strings.Join(slices.Compact(short), ", "))
	}
	return nil
}

// A parting is a connection or stream, this side's half of which is ended, as soon as
// nothing is queued any more.
type parting struct {
	conn interface {
		net.Conn
		CloseWrite() error
	}
	raw      net.Conn
	peer     PeerInfo
	drained  func() <-chan struct{} // closed when nothing is queued
	finished <-chan struct{}        // closed when the peer's end was read, or by Close
	over     <-chan struct{}        // closed when the peer has left or is lost
	cause    func() error           // which of it
	used     func() bool            // the program reads
	unsent   func(facts) int        // bytes of the program's that have not arrived
	moved    func() [3]uint64       // changes whenever bytes are read or written
	lost     func() uint64          // grows with what was written and did not arrive
	before   uint64                 // what it was
}

// drainTime is how long Shutdown waits, when a peer has left or is lost, for the
// program to read what the peer had sent, if that is not known to be anything, or the
// program has never read.
const drainTime = time.Second

// How often Shutdown looks at a connection: at first soon, and then less and less often.
const (
	lookFirst = 2 * time.Millisecond
	lookLast  = 100 * time.Millisecond
)

// finishOne waits until there is nothing left to be sent or read, or nothing moves any
// more. It reports false if something that was sent has not arrived.
func (n *Node) finishOne(ctx context.Context, p parting) (arrived bool) {
	wait := lookFirst
	look := time.NewTimer(wait)
	defer look.Stop()
	var before [6]uint64
	since := time.Now()
	finished, over := p.finished, p.over
	for {
		f := factsOf(p.raw)
		drained := p.drained()
		sent := false
		if arrived = false; done(drained) {
			drained = nil // and nothing to wait for
			unsent := p.unsent(f)
			arrived = unsent == 0 && p.lost() == p.before
			sent = unsent == 0 || f.Closed
		}
		// TLS may hold what the system has handed out already.
		read := done(p.finished) || f.known && f.Ended && f.Unread == 0 && !p.peer.private()
		limit := lingerTime
		if done(p.over) {
			cause := p.cause()
			arrived = arrived || errors.Is(cause, ErrClosed) // its program does not want more
			sent = sent || !errors.Is(cause, ErrLeft)        // nothing arrives any more
			if sent && !(f.known && p.used()) {
				limit = drainTime
			}
		}
		if sent && read {
			return arrived
		}
		m := p.moved()
		now := [6]uint64{m[0], m[1], m[2], f.Received, f.Acked, uint64(f.Unread)}
		if now != before {
			before, since = now, time.Now()
		} else if time.Since(since) >= limit {
			return arrived
		}
		select {
		case <-drained:
		case <-finished:
			finished = nil
		case <-over:
			over = nil
		case <-look.C:
			wait = min(2*wait, lookLast)
			look.Reset(wait)
		case <-ctx.Done():
			return arrived
		case <-n.done:
			return arrived
		}
	}
}

// done reports whether ch is closed.
func done(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// withdraw begins to end discovery, once. When that is done, withdrawn is closed.
func (n *Node) withdraw() {
	if !n.withdrawing.CompareAndSwap(false, true) {
		return
	}
	n.mu.Lock()
	sessions := n.sessions
	n.sessions = nil
	n.mu.Unlock()
	var wg sync.WaitGroup
	for _, s := range sessions {
		wg.Go(func() {
			if err := s.Close(); err != nil {
				n.cfg.Logger.Warn("discovery did not end well", "err", err)
			}
		})
	}
	go func() {
		wg.Wait()
		close(n.withdrawn)
	}()
}

const (
	// closeTime is how long Close waits for room in a connection to say that it
	// ends, in a private cluster.
	closeTime = 100 * time.Millisecond
	// withdrawTime is how long Close lets discovery say that the node is gone,
	// before it closes what others have of it.
	withdrawTime = 100 * time.Millisecond
)

// Close closes the node and all its connections, listeners and streams at once. It
// returns when nothing of the node is left running, except for Handlers that have not
// returned. Further calls wait for the first and return nil. It is not to be called in
// Config.Admit.
func (n *Node) Close() error {
	if n.closing.CompareAndSwap(false, true) {
		n.withdraw()
		select {
		case <-n.withdrawn:
		case <-time.After(withdrawTime):
		}
		n.unwatch()
		n.memory.end()
		n.mesh.Close()
		n.mu.Lock()
		n.ended = true
		for s := range n.subs {
			s.end()
		}
		n.changedLocked()
		emptied := make(chan struct{})
		n.emptied = emptied
		n.closedLocked()
		n.mu.Unlock()
		var closed sync.WaitGroup
		conns, streams := n.open()
		for _, c := range conns {
			closed.Go(func() {
				hurry(c.raw, closeTime)
				c.retire()
			})
		}
		for _, s := range streams {
			closed.Go(func() {
				hurry(s.raw, closeTime)
				s.Close()
			})
		}
		closed.Wait()
		<-emptied // also of what the program is closing at this moment
		n.senders.Wait()
		<-n.withdrawn
		close(n.done)
	}
	<-n.done
	return nil
}

// closedLocked tells Close when all that was open is closed. It is called with mu held.
func (n *Node) closedLocked() {
	if n.emptied != nil && len(n.all) == 0 && len(n.streams) == 0 {
		close(n.emptied)
		n.emptied = nil
	}
}

const (
	// lingerTime is how long a connection that has ended stays open without being
	// used.
	lingerTime = 5 * time.Second
	// unreadTime is how long it does if there is something left to read: the
	// program may be kept waiting by its own output.
	unreadTime = 5 * time.Minute
	// unusedTime is how long its writing half does if the program has never read it,
	// and there is nothing to read: the peer may wait for its end.
	unusedTime = 250 * time.Millisecond
)

// lingerLocked closes a connection that has ended when it is not used any more. It is
// called with mu held.
func (n *Node) lingerLocked(c *Conn) {
	before, readsBefore, since := c.moved(), c.reads.Load(), time.Now()
	var look func()
	look = func() {
		f := factsOf(c.raw)
		now, reads := c.moved(), c.reads.Load()
		if now != before || reads != readsBefore || c.reading.Load() > 0 || c.writing.Load() > 0 {
			before, readsBefore, since = now, reads, time.Now()
		}
		idle := time.Since(since)
		limit := lingerTime
		if f.unread(c.peer.private()) > 0 {
			limit = unreadTime
		}
		switch {
		case idle >= limit:
			c.retire()
			return
		case idle >= unusedTime && f.known && !c.peer.private() && !c.used.Load() && f.Unread+f.Unsent == 0 && done(c.out.drained()):
			c.CloseWrite()
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		if _, open := n.all[c]; open && !n.ended {
			c.linger = time.AfterFunc(lingerTime, look)
		}
	}
	c.linger = time.AfterFunc(unusedTime, look)
}
