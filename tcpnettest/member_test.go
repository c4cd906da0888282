package tcpnettest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"example.com/tcpnet"
)

// member is a program that runs on a host: over the time several nodes.
type member struct {
	w     *world
	host  *Host
	index int
	extra bool // a twin

	mu      sync.Mutex // guards what follows
	id      tcpnet.ID
	run     *run
	joining bool // it is about to run
	rejects map[tcpnet.ID]int
	slow    int
}

// run is one node of a member, from Join to its end.
type run struct {
	m      *member
	number int // among all runs
	node   *tcpnet.Node
	id     tcpnet.ID
	watch  sync.WaitGroup // the reader of events

	mu       sync.Mutex // guards what follows
	ended    time.Duration
	graceful bool // it said goodbye
	stalled  bool // it was frozen once, while its timers went on and closed what was not read
	live     map[tcpnet.ID]*tcpnet.Conn
	joined   map[*tcpnet.Conn]time.Duration
	left     map[*tcpnet.Conn]error
	last     time.Duration // when a connection came or went last
	met      map[int]int   // connections with each other run
}

// join starts the member's program, unless it runs.
func (m *member) join() {
	m.mu.Lock()
	running, id := m.run != nil || m.joining, m.id
	m.joining = m.joining || !running
	m.mu.Unlock()
	if running {
		return
	}
	defer func() {
		m.mu.Lock()
		m.joining = false
		m.mu.Unlock()
	}()
	m.host.lan.mu.Lock()
	ok := m.host.alive()
	m.host.lan.mu.Unlock()
	if !ok {
		return
	}
	r := m.w.newRun(m)
	cfg := tcpnet.Config{
		Name:    "schedule",
		ID:      id,
		Label:   m.host.name,
		Meta:    map[string]string{"run": strconv.Itoa(r.number)},
		Handler: r.handle,
		Admit:   m.admit,
	}
	if m.w.s.network == seedsOnly {
		cfg.Discovery = noDiscovery
		cfg.Seeds = []string{"h1:7000", "h2:7000"}
		cfg.Addr = ":7000"
	}
	if m.extra {
		cfg.Addr = ""
	}
	ctx, cancel := context.WithTimeout(m.host.Context(context.Background()), 20*time.Second)
	defer cancel()
	n, err := tcpnet.Join(ctx, cfg)
	if err != nil {
		m.w.lan.Note("%v: cannot join: %v", m.host, err)
		return
	}
	m.w.lan.Note("%v: run %d of %.4s has joined", m.host, r.number, n.ID())
	r.node, r.id = n, n.ID()
	m.mu.Lock()
	m.run, m.id = r, n.ID()
	m.mu.Unlock()
	events := n.Events(context.Background())
	r.watch.Go(func() {
		for e := range events {
			r.event(e)
		}
	})
}

// stop ends the member's program by end.
func (m *member) stop(graceful bool, end func(n *tcpnet.Node)) {
	m.mu.Lock()
	r := m.run
	m.run = nil
	m.mu.Unlock()
	if r == nil {
		return
	}
	r.mu.Lock()
	r.ended, r.graceful = m.w.now(), graceful
	r.mu.Unlock()
	end(r.node)
}

// name returns the member's ID; it has none before it joins.
func (m *member) name() tcpnet.ID {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.id
}

func (m *member) current() *run {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.run
}

func (m *member) admit(_ context.Context, p tcpnet.PeerInfo) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rejects[p.ID] > 0 {
		return errors.New("rejected by the schedule")
	}
	return nil
}

// event takes note of what a node says, and checks that it may say so.
func (r *run) event(e tcpnet.Event) {
	w, now := r.m.w, r.m.w.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	ended := r.ended > 0
	switch e := e.(type) {
	case tcpnet.Joined:
		id := e.Conn.Peer().ID
		w.note(r, "joined by %v, %v > %v", e.Conn.Peer().Label, e.Conn.LocalAddr(), e.Conn.RemoteAddr())
		if old := r.live[id]; old != nil {
			w.violation("two at once", "%v has two live connections to %v: %v and %v", r, id, old, e.Conn)
		}
		if _, again := r.joined[e.Conn]; again {
			w.violation("joined twice", "%v was told twice of %v", r, e.Conn)
		}
		r.live[id], r.joined[e.Conn] = e.Conn, now
		r.last = now
	case tcpnet.Left:
		id := e.Conn.Peer().ID
		w.note(r, "left by %v: %v", e.Conn.Peer().Label, e.Reason)
		if r.live[id] != e.Conn {
			w.violation("left without joined", "%v: %v", r, e.Conn)
		}
		if _, again := r.left[e.Conn]; again {
			w.violation("left twice", "%v: %v", r, e.Conn)
		}
		delete(r.live, id)
		r.left[e.Conn] = e.Reason
		r.last = now
		if cause := context.Cause(e.Conn.Context()); cause == nil || cause.Error() != e.Reason.Error() {
			w.violation("cause", "%v: the event says %v, the context %v", r, e.Reason, cause)
		}
		if !ended {
			r.judge(e.Conn, e.Reason)
		}
	case tcpnet.Rejected:
		w.note(r, "rejected %v: %v", e.Peer.Label, e.Err)
	case tcpnet.Lagged:
		w.violation("lagged", "%v missed %d events", r, e.N)
	}
}

// judge checks that a connection's reason to end is true. It is called with mu held.
func (r *run) judge(c *tcpnet.Conn, reason error) {
	w := r.m.w
	number, _ := strconv.Atoi(c.Peer().Meta["run"])
	peer := w.runs[number]
	if peer != r { // mu is held
		peer.mu.Lock()
		defer peer.mu.Unlock()
	}
	gone := peer.ended > 0
	disturbed := w.disturbed(r.m.host, peer.m.host)
	var ok bool
	switch {
	case errors.Is(reason, tcpnet.ErrLeft):
		ok = gone && peer.graceful
	case errors.Is(reason, tcpnet.ErrRestarted):
		ok = gone || w.hadTwin(peer.id)
	case errors.Is(reason, tcpnet.ErrReset):
		ok = gone || disturbed
	case errors.Is(reason, tcpnet.ErrTimeout), errors.Is(reason, tcpnet.ErrReplaced):
		ok = disturbed
	case errors.Is(reason, tcpnet.ErrClosed):
		// Where packets are lost, one side may have a connection that the other
		// could not open: CLOSE has no other reason to give.
		ok = w.wasClosed(r, peer) || disturbed
	}
	if !ok {
		w.violation("untrue reason", "%v lost %v: %v, but it is gone: %v (graceful: %v), network disturbed: %v",
			r, peer, reason, gone, peer.graceful, disturbed)
	}
}

func (r *run) String() string { return fmt.Sprintf("%v run %d (%.4s)", r.m.host, r.number, r.id) }

// stream is what one program writes to the other over one connection.
type stream struct {
	index    int
	from, to int // runs

	mu       sync.Mutex // guards what follows
	written  int
	finished bool  // CloseWrite was fine
	failed   error // of the writer, at any time
	clean    bool  // the writer has seen the other side's end, and no error
	received int
	ended    error // what the reader got in the end
	cut      bool  // the reader's program did not read to the end, or its node ended
}

const headerLen = 4

// handle is the program's side of one connection.
func (r *run) handle(c *tcpnet.Conn) {
	w := r.m.w
	peer, _ := strconv.Atoi(c.Peer().Meta["run"])
	out := w.newStream(r.number, peer, c)
	r.mu.Lock()
	r.met[peer]++
	rnd := rand.New(rand.NewPCG(w.s.seed, uint64(r.number)<<40|uint64(peer)<<20|uint64(r.met[peer])))
	r.mu.Unlock()
	var writing sync.WaitGroup
	if w.s.busy {
		var late time.Duration
		if rnd.IntN(4) == 0 {
			late = anyTime(rnd, 30*time.Second)
		}
		writing.Go(func() { r.write(c, out, rnd) })
		w.pause(late, c.Context())
	}
	in, err := r.read(c)
	if err != io.EOF {
		out.fail(err)
	}
	c.Close()
	w.programClosed(r.number, peer, err == io.EOF)
	writing.Wait()
	<-c.Context().Done()
	cause := context.Cause(c.Context())
	out.mu.Lock()
	if out.failed == nil && err == io.EOF && (errors.Is(cause, tcpnet.ErrClosed) || errors.Is(cause, tcpnet.ErrLeft)) {
		out.clean = true
	}
	out.mu.Unlock()
	if in != nil {
		in.mu.Lock()
		in.ended = err
		in.mu.Unlock()
	}
}

func (s *stream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = err
	}
}

// write writes a stream: its number, and then bytes that depend on that and on their
// place.
func (r *run) write(c *tcpnet.Conn, s *stream, rnd *rand.Rand) {
	w := r.m.w
	b := []byte{byte(s.index >> 24), byte(s.index >> 16), byte(s.index >> 8), byte(s.index)}
	for range rnd.IntN(20) {
		for range rnd.IntN(4000) {
			b = append(b, pattern(s.index, s.written+len(b)))
		}
		n, err := c.Write(b)
		s.mu.Lock()
		s.written += n
		s.mu.Unlock()
		if err != nil {
			s.fail(err)
			return
		}
		b = b[:0]
		if !w.pause(anyTime(rnd, 3*time.Second), c.Context()) {
			return
		}
	}
	switch rnd.IntN(4) {
	case 0: // the end of the stream
		if w.calm() {
			return
		}
		// Its end of the stream does not say that it has read the other's.
		peer, _ := strconv.Atoi(c.Peer().Meta["run"])
		w.cut(r.number, peer, c)
		if err := c.CloseWrite(); err != nil {
			s.fail(err)
			return
		}
		s.mu.Lock()
		s.finished = true
		s.mu.Unlock()
	case 1: // without a word
		if w.calm() {
			return
		}
		peer, _ := strconv.Atoi(c.Peer().Meta["run"])
		w.programClosed(r.number, peer, false)
		s.fail(errors.New("closed at once"))
		w.cut(r.number, peer, c)
		c.Close()
	}
}

func pattern(index, place int) byte { return byte(index*7 + place*13 + place>>8) }

// read reads a stream to its end and checks it.
func (r *run) read(c *tcpnet.Conn) (s *stream, err error) {
	w := r.m.w
	var header [headerLen]byte
	if _, err := io.ReadFull(c, header[:]); err != nil {
		if err == io.ErrUnexpectedEOF {
			err = io.EOF
		}
		return nil, err
	}
	index := int(header[0])<<24 | int(header[1])<<16 | int(header[2])<<8 | int(header[3])
	s = w.stream(index)
	if s == nil || s.to != r.number {
		w.violation("bytes", "%v reads stream %d, which is not for it", r, index)
		return nil, io.EOF
	}
	s.mu.Lock()
	s.received = headerLen
	s.mu.Unlock()
	b := make([]byte, 2048)
	for {
		if r.m.isSlow() && w.pause(time.Second, c.Context()) {
			continue // what a connection has brought that has ended is read at once
		}
		n, err := c.Read(b)
		for i, x := range b[:n] {
			if x != pattern(index, s.received+i) {
				w.violation("bytes", "%v reads a wrong byte at %d of stream %d", r, s.received+i, index)
				return s, io.EOF
			}
		}
		s.mu.Lock()
		s.received += n
		s.mu.Unlock()
		if err != nil {
			return s, err
		}
	}
}

func (m *member) stall() {
	if r := m.current(); r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.stalled = true
	}
}

func (m *member) isSlow() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.slow > 0
}
