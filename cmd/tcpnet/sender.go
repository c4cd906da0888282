package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"example.com/tcpnet"
)

// lastWords is how long a peer that leaves is still written to.
const lastWords = 2 * time.Second

// sender sends blocks of lines to all peers, each at its own pace.
type sender struct {
	note func(format string, args ...any) // reports lines that were lost

	mu      sync.Mutex // guards what follows
	peers   map[*peer]struct{}
	changed chan struct{} // closed and replaced when a peer comes, goes or takes a block
	arrived time.Time     // when the latest peer came
	ended   bool          // nothing more will be sent
	closed  bool          // no more peers are taken
	running sync.WaitGroup
}

// peer is one connection as the sender sees it.
type peer struct {
	conn *tcpnet.Conn
	name string
	wake chan struct{} // has an element when the writer has something to do
	done chan struct{} // closed when the writer has ended

	// Guarded by sender.mu.
	out      outbox
	busy     bool // a block is being written
	slow     bool // its lines are dropped until it has caught up
	dropped  int  // lines
	gone     bool // the connection has ended
	patience patience
}

func newSender(note func(string, ...any)) *sender {
	return &sender{note: note, peers: make(map[*peer]struct{}), changed: make(chan struct{})}
}

// add takes a new connection, unless the sender is closed. The caller calls remove
// in the end.
func (s *sender) add(c *tcpnet.Conn, name string) (*peer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, false
	}
	now := time.Now()
	p := &peer{conn: c, name: name, wake: make(chan struct{}, 1), done: make(chan struct{}), patience: newPatience(now)}
	s.peers[p] = struct{}{}
	s.arrived = now
	s.running.Add(1)
	s.changedLocked()
	go s.write(p)
	return p, true
}

// gone tells that the connection has ended. What waits is still written, for a
// while.
func (s *sender) gone(p *peer) {
	p.conn.SetWriteDeadline(time.Now().Add(lastWords))
	s.mu.Lock()
	defer s.mu.Unlock()
	p.gone = true
	delete(s.peers, p)
	s.changedLocked()
	p.wakeUp()
}

// remove waits until all is written to a peer whose connection has ended.
func (s *sender) remove(p *peer) {
	<-p.done
	s.running.Done()
}

// close takes no more connections and waits until all are removed.
func (s *sender) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.running.Wait()
}

func (s *sender) changedLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (p *peer) wakeUp() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// count returns how many peers there are, when the latest came, and a channel that
// is closed when that may have changed.
func (s *sender) count() (int, time.Time, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.peers), s.arrived, s.changed
}

// send gives a block, which the sender keeps, to all peers. It waits for those
// whose outbox is full, as long as that keeps nobody else waiting for longer than
// their patience allows.
func (s *sender) send(ctx context.Context, block []byte) error {
	for {
		now := time.Now()
		s.mu.Lock()
		full, idle, say := s.pressureLocked(len(block))
		if len(full) == 0 {
			s.offerLocked(block)
			s.mu.Unlock()
			s.noteAll(say)
			return nil
		}
		var expired <-chan time.Time
		if idle {
			left := maxPatience
			for _, p := range full {
				rest := p.patience.remaining(now)
				if rest <= 0 {
					p.slow = true
					say = append(say, fmt.Sprintf("%s is too slow: its lines are dropped until it has caught up", p.name))
				}
				left = min(left, rest)
			}
			expired = time.After(left)
		}
		changed := s.changed
		s.mu.Unlock()
		s.noteAll(say)
		select {
		case <-changed:
		case <-expired:
		case <-ctx.Done():
			return ctx.Err()
		}
		if idle {
			s.mu.Lock()
			for _, p := range full {
				p.patience.spend(now, time.Now())
			}
			s.mu.Unlock()
		}
	}
}

func (s *sender) noteAll(lines []string) {
	for _, l := range lines {
		s.note("%s", l)
	}
}

// pressureLocked returns the peers that have no room for a block of size bytes,
// whether another one waits for something to be sent, and what is to be said of
// those that have caught up.
func (s *sender) pressureLocked(size int) (full []*peer, idle bool, say []string) {
	for p := range s.peers {
		switch {
		case p.out.size == 0 && !p.busy:
			idle = true
			if p.slow {
				say = append(say, fmt.Sprintf("%s has caught up: %d lines for it were dropped", p.name, p.dropped))
				p.slow, p.dropped = false, 0
			}
		case !p.slow && !p.out.fits(size):
			full = append(full, p)
		}
	}
	return full, idle, say
}

func (s *sender) offerLocked(block []byte) {
	for p := range s.peers {
		if p.slow {
			p.dropped += countLines(block)
			continue
		}
		p.out.put(block)
		p.wakeUp()
	}
}

// end tells that nothing more will be sent: when all is written, the peers see the
// end of the stream.
func (s *sender) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	for p := range s.peers {
		p.wakeUp()
	}
}

// flush waits until all is written.
func (s *sender) flush(ctx context.Context) error {
	for {
		s.mu.Lock()
		rest := false
		for p := range s.peers {
			rest = rest || p.out.size > 0 || p.busy
		}
		changed := s.changed
		s.mu.Unlock()
		if !rest {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// write writes to one peer until its connection has ended and is written empty.
func (s *sender) write(p *peer) {
	defer close(p.done)
	halfClosed := false
	for {
		s.mu.Lock()
		block := p.out.take()
		p.busy = block != nil
		gone, ended := p.gone, s.ended
		s.changedLocked()
		s.mu.Unlock()
		switch {
		case block != nil:
			if _, err := p.conn.Write(block); err != nil {
				s.lost(p, block)
				return
			}
		case gone:
			s.lost(p, nil)
			return
		default:
			if ended && !halfClosed {
				p.conn.CloseWrite()
				halfClosed = true
			}
			<-p.wake
		}
	}
}

// lost ends a peer that cannot be written to any more, and says what it has missed.
func (s *sender) lost(p *peer, block []byte) {
	s.mu.Lock()
	n := p.dropped + countLines(block) + p.out.discard()
	p.dropped, p.busy = 0, false
	delete(s.peers, p)
	s.changedLocked()
	s.mu.Unlock()
	if n > 0 {
		s.note("%d lines for %s were lost", n, p.name)
	}
}
