package tcpnet

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"example.com/tcpnet/internal/queue"
)

// sender writes to one connection: what Send has queued, and what the program writes
// itself, each call in one piece. As long as something is queued, a goroutine writes
// it; there is none otherwise, and hardly any memory.
type sender struct {
	conn    *Conn
	loop    func()      // run, made once
	turn    turn        // of those who write
	waiting atomic.Bool // something is queued

	mu      sync.Mutex // guards what follows
	queue   queue.Queue
	running bool          // run is under way
	moves   int           // how often the deadline of writes was set
	stalled bool          // that deadline has passed: what is queued waits for another
	ending  bool          // the stream ends when nothing is queued any more
	ended   bool          // it has
	closed  bool          // nothing is sent any more
	empty   chan struct{} // closed when nothing is queued any more; nil: nobody waits
	sent    queue.Tally
	dropped queue.Tally
	untold  queue.Tally // of dropped: not told yet
	telling *time.Timer // runs after something was told
}

// most is how many bytes are written at once: what is being written cannot be dropped
// any more.
const most = 256 << 10

// batch is what is written at once.
type batch struct{ all, rest net.Buffers }

// batches are those that are not in use.
var batches = sync.Pool{New: func() any { return new(batch) }}

// init prepares s, which is part of c.
func (s *sender) init(c *Conn) {
	s.conn, s.loop = c, s.run
	s.turn.held = make(chan struct{}, 1)
	s.queue.Limit = c.node.cfg.Queue.Size
	s.queue.Oldest = c.node.cfg.Queue.Full == DropOldest
}

// put queues b, or c if that is not nil and holds b. It returns what became of it and
// how many bytes wait then.
func (s *sender) put(b []byte, c *queue.Chunk) (Outcome, int) {
	s.mu.Lock()
	if s.closed || s.ending {
		s.mu.Unlock()
		return OutcomeDropped, 0
	}
	outcome := OutcomeQueued
	if s.queue.Len() == 0 {
		outcome = OutcomeSent
	}
	if len(b) == 0 {
		defer s.mu.Unlock()
		return outcome, s.queue.Cost()
	}
	ok, lost := s.queue.Put(b, c)
	waits := s.queue.Cost()
	if outcome == OutcomeSent && ok {
		s.waiting.Store(true)
		if !s.running && !s.stalled {
			s.startLocked()
		}
	}
	if ok && lost.Messages == 0 {
		s.mu.Unlock()
		return outcome, waits
	}
	if !ok {
		lost.Add(queue.Tally{Messages: 1, Bytes: uint64(len(b))})
		outcome = OutcomeDropped
		if s.conn.node.cfg.Queue.Full == CloseSlow && len(b)+queue.Overhead <= s.queue.Limit {
			s.closeLocked()
		}
	}
	news := s.lostLocked(lost)
	s.mu.Unlock()
	s.tell(news)
	return outcome, waits
}

// closeLocked closes the connection because it is too slow. It is called with mu held.
func (s *sender) closeLocked() {
	s.closed = true
	node := s.conn.node
	node.senders.Add(1)
	go func() {
		defer node.senders.Done()
		s.conn.shut(ErrSlow)
	}()
}

// startLocked starts run. It is called with mu held.
func (s *sender) startLocked() {
	s.running = true
	s.conn.node.senders.Add(1)
	go s.loop()
}

// run writes what is queued until nothing is.
func (s *sender) run() {
	defer s.conn.node.senders.Done()
	b := batches.Get().(*batch)
	defer batches.Put(b)
	for done := false; !done; done = s.rest() {
		if s.turn.take(false) == nil {
			s.write(b)
			s.turn.give()
		}
	}
}

// rest reports whether run has nothing to do, in which case it has to return.
func (s *sender) rest() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = s.queue.Len() > 0 && !s.stalled && !s.closed
	return !s.running
}

// write writes a part of what is queued, and returns how many bytes. It is called by
// who has the turn.
func (s *sender) write(b *batch) (n int64, err error) {
	s.mu.Lock()
	b.all = s.queue.Take(b.all[:0], min(most, s.queue.Limit/4+1))
	moves := s.moves
	s.mu.Unlock()
	if len(b.all) > 0 {
		b.rest = b.all
		n, err = b.rest.WriteTo(s.conn.raw)
		clear(b.all)
		s.conn.written.n.Add(uint64(n))
	}
	s.mu.Lock()
	gone := s.queue.Wrote(int(n))
	s.sent.Add(queue.Tally{Messages: uint64(gone), Bytes: uint64(n)})
	late := errors.Is(err, os.ErrDeadlineExceeded)
	switch {
	case late && s.moves != moves: // it is another deadline now
		err = nil
	case late && s.conn.lost("write") == nil:
		s.stalled = true
		if s.conn.peer.private() { // TLS cannot go on after a part of a record
			s.closeLocked()
		}
	case err != nil:
		s.closed = true
	}
	news, end := s.settleLocked()
	s.mu.Unlock()
	s.tell(news)
	if end && s.conn.lost("close write") == nil {
		closeWrite(s.conn.raw)
	}
	if err != nil {
		s.conn.failed(err)
	}
	return n, err
}

// settleLocked does what is to be done when the last of the queue has gone, or will
// not go any more. It returns what is to be told, and whether the stream is to be
// ended. It is called with mu held, while nothing is being written.
func (s *sender) settleLocked() (news queue.Tally, end bool) {
	if s.closed {
		news = s.lostLocked(s.queue.Discard())
		news.Add(s.untold)
		s.untold = queue.Tally{}
		if s.telling != nil {
			s.telling.Stop()
		}
	}
	if s.queue.Len() > 0 {
		return news, false
	}
	s.waiting.Store(false)
	s.queue.Release()
	if s.empty != nil {
		close(s.empty)
		s.empty = nil
	}
	end = s.ending && !s.ended && !s.closed
	s.ended = s.ended || end
	return news, end
}

// begin takes the turn for a call of the program's, once what was queued before has
// gone.
func (s *sender) begin() error {
	if err := s.turn.take(true); err != nil {
		return s.conn.writeError(err)
	}
	if !s.waiting.Load() {
		return nil
	}
	s.mu.Lock()
	rest := int64(s.queue.Cost())
	s.mu.Unlock()
	b := batches.Get().(*batch)
	defer batches.Put(b)
	for rest > 0 && s.waiting.Load() {
		n, err := s.write(b)
		if err != nil {
			s.turn.give()
			return err
		}
		rest -= n
	}
	return nil
}

// setDeadline is told when the deadline of writes was set.
func (s *sender) setDeadline(at time.Time) {
	s.turn.setDeadline(at)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moves++
	s.stalled = false
	if s.queue.Len() > 0 && !s.running && !s.closed {
		s.startLocked()
	}
}

// end lets the stream end when all that is queued has gone. It reports whether that
// is so now, and the caller has to end it.
func (s *sender) end() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ending = true
	s.ended = s.ended || s.queue.Len() == 0
	return s.ended
}

// over reports whether the stream was ended by this side.
func (s *sender) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// drained returns a channel that is closed when nothing is queued any more.
func (s *sender) drained() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	empty := s.empty
	if empty == nil {
		empty = make(chan struct{})
		if s.queue.Len() == 0 {
			close(empty)
		} else {
			s.empty = empty
		}
	}
	return empty
}

// lastWords lets what is queued go, before the connection is closed, but not for long.
func (s *sender) lastWords() {
	if !s.waiting.Load() {
		return
	}
	s.conn.SetWriteDeadline(time.Now().Add(lastWordsTime))
	timer := time.NewTimer(lastWordsTime)
	defer timer.Stop()
	select {
	case <-s.drained():
	case <-timer.C:
	}
}

// close ends it: the socket is closed.
func (s *sender) close() {
	s.turn.close()
	s.mu.Lock()
	s.closed = true
	var news queue.Tally
	if !s.queue.Taken() { // else whoever is writing settles it
		news, _ = s.settleLocked()
	}
	s.mu.Unlock()
	s.tell(news)
}

// tellEvery is how often it is told of a connection that messages are dropped.
const tellEvery = time.Second

// lostLocked counts what was dropped, and returns what is to be told of it now. It is
// called with mu held.
func (s *sender) lostLocked(lost queue.Tally) (news queue.Tally) {
	if lost.Messages == 0 {
		return news
	}
	s.dropped.Add(lost)
	s.untold.Add(lost)
	if s.telling != nil && !s.closed {
		return news
	}
	news, s.untold = s.untold, news
	if !s.closed {
		s.telling = time.AfterFunc(tellEvery, s.tellRest)
	}
	return news
}

// tellRest tells what was dropped since the last time.
func (s *sender) tellRest() {
	s.mu.Lock()
	var news queue.Tally
	news, s.untold = s.untold, news
	if news.Messages > 0 && !s.closed {
		s.telling.Reset(tellEvery)
	} else {
		s.telling = nil
	}
	s.mu.Unlock()
	s.tell(news)
}

// tell tells the program, and the log, what was dropped.
func (s *sender) tell(news queue.Tally) {
	if news.Messages == 0 {
		return
	}
	n, p := s.conn.node, s.conn.peer
	n.cfg.Logger.Warn("messages dropped", "peer", p.ID, "label", p.Label, "messages", news.Messages, "bytes", news.Bytes)
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.ended {
		n.tellLocked(Dropped{Conn: s.conn, Messages: news.Messages, Bytes: news.Bytes})
	}
}

// status returns the figures of the queue.
func (s *sender) status() SendStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return SendStatus{
		Queued:       uint64(s.queue.Len()),
		QueuedBytes:  uint64(s.queue.Cost()),
		Sent:         s.sent.Messages,
		SentBytes:    s.sent.Bytes,
		Dropped:      s.dropped.Messages,
		DroppedBytes: s.dropped.Bytes,
	}
}
