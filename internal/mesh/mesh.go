// Package mesh keeps a node connected to all others of its cluster: the table of
// peers, the schedule of dials, and the connections that are handed to the
// program.
//
// What is decided is decided in core, which is pure. Mesh is the edge around it:
// sockets, goroutines and the clock.
package mesh

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"example.com/tcpnet/discovery"
	"example.com/tcpnet/internal/link"
	"example.com/tcpnet/internal/secure"
)

// Times of PROTOCOL.md section 5.4.
const (
	handshakeTime = 5 * time.Second
	dialTime      = 3 * time.Second
)

// Config is what a Mesh needs. All fields are required but those that say so.
type Config struct {
	Name     string
	ID       link.ID
	Label    string
	Meta     map[string]string
	Interval time.Duration // of PING
	Timeout  time.Duration // of a silent link
	Pending  int           // strangers at once
	PerAddr  int           // strangers at once from one address
	Dials    int           // attempts at once
	Logger   *slog.Logger
	Guard    *secure.Guard // makes sockets private; nil: the cluster is open

	Listeners []net.Listener
	Dial      func(context.Context, netip.AddrPort) (net.Conn, error)
	Resolve   func(ctx context.Context, hostport string) ([]netip.AddrPort, error)
	Random    io.Reader                         // of the schedule
	Addrs     func() []netip.AddrPort           // where this node can be reached now
	Usable    func(local netip.Addr) bool       // whether a socket may use this address of the machine
	Admit     func(context.Context, Peer) error // optional
	Reconfirm func(id link.ID)
	Program   Program
}

// Program is told what happens, one call at a time and in order. Its methods do
// not block.
type Program interface {
	Up(*Connection)
	Down(c *Connection, cause error)
	Lost(peer link.ID, cause error) // nobody is there any more
	Rejected(Rejection)
}

// Connection is one that the program has got.
type Connection struct {
	Net  net.Conn
	Peer Peer
	User any // whatever the program makes of it in Up

	mesh    *Mesh
	session *session
	number  uint64
}

// Ended tells the mesh that the connection is over for the program: it closed it,
// or its socket failed with cause.
func (c *Connection) Ended(cause error) {
	c.mesh.step(nil, func(now time.Time) {
		c.mesh.core.connEnded(now, c.session, c.number, cause)
	})
}

// RTT returns the smoothed round trip of the link to the peer, or 0 before one
// was measured.
func (c *Connection) RTT() time.Duration {
	c.mesh.mu.Lock()
	defer c.mesh.mu.Unlock()
	return c.session.rtt
}

// Mesh is one node's part of the full mesh. Its methods are safe for concurrent
// use.
type Mesh struct {
	cfg    Config
	inc    link.Incarnation
	gate   *gate
	toll   toll
	log    *strangerLog
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
	clock  *time.Timer  // tells when core wants to run
	room   atomic.Int32 // for second sockets, see race

	streams  streams
	counters counters

	mu         sync.Mutex // guards what follows
	core       *core
	lastLink   link.LinkID
	links      map[link.LinkID]*entry
	dirty      []*link.Link                  // have something to flush
	jobs       []func()                      // wait for goroutines
	openings   []func()                      // wait for goroutines, or for whoever steps
	dialling   map[*peer]*context.CancelFunc // end attempts that are overtaken
	tokens     map[link.Token]claim          // of connections that peers are to open
	expected   map[*session]link.Token       // the keys of tokens
	early      map[link.Token]chan claim     // sockets that came before their token was known
	open       map[*session]*Connection
	outbox     []func()
	delivering bool
	delivered  *sync.Cond      // delivering is false again
	heeded     []chan struct{} // closed when all peers have heard the goodbye
	clockAt    time.Time       // when clock is set to; zero: not set
	closed     bool
}

// entry is a link and the place it takes among the strangers.
type entry struct {
	*link.Link
	release func() bool // see gate.enter
	path    *path       // of streams
}

// claim is the connection that a token stands for.
type claim struct {
	session *session
	number  uint64
}

// New returns a mesh that listens. It dials nobody before it is told of
// candidates or seeds.
func New(cfg Config) *Mesh {
	m := &Mesh{
		cfg:      cfg,
		inc:      link.NewIncarnation(),
		links:    make(map[link.LinkID]*entry),
		dialling: make(map[*peer]*context.CancelFunc),
		tokens:   make(map[link.Token]claim),
		expected: make(map[*session]link.Token),
		early:    make(map[link.Token]chan claim),
		open:     make(map[*session]*Connection),
		clock:    time.NewTimer(time.Hour),
		log:      newStrangerLog(cfg.Logger),
	}
	m.room.Store(int32(max(cfg.Dials/2, 1)))
	m.delivered = sync.NewCond(&m.mu)
	m.gate = newGate(cfg.Pending, cfg.PerAddr)
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.streams = newStreams(m.ctx)
	m.core = newCore(cfg.ID, m.inc, (*sideEffects)(m))
	m.core.interval, m.core.timeout, m.core.dials = cfg.Interval, cfg.Timeout, cfg.Dials
	var seed [16]byte
	io.ReadFull(cfg.Random, seed[:]) // never fails
	m.core.dear, m.core.born = cfg.Guard != nil, time.Now()
	m.core.rnd = rand.New(rand.NewPCG(binary.BigEndian.Uint64(seed[:8]), binary.BigEndian.Uint64(seed[8:])))
	m.wg.Go(m.runClock)
	for _, ln := range cfg.Listeners {
		m.wg.Go(func() { m.accept(ln) })
	}
	return m
}

// Found takes a candidate from discovery.
func (m *Mesh) Found(c discovery.Candidate) {
	m.step(nil, func(now time.Time) { m.core.found(now, c) })
}

// AddSeed dials a "host:port" until it leads to a node, and again whenever that
// node is lost.
func (m *Mesh) AddSeed(hostport string) {
	m.stepLater(func(now time.Time) { m.core.addSeed(now, hostport) })
}

// DropSeed ends the attempts at what AddSeed was told. Whoever was met there stays
// a peer.
func (m *Mesh) DropSeed(hostport string) {
	m.stepLater(func(time.Time) { m.core.dropSeed(hostport) })
}

// NetworkChanged looks after all peers at once. gone tells which of the machine's
// addresses exist no longer.
func (m *Mesh) NetworkChanged(gone func(netip.Addr) bool) {
	m.step(nil, func(now time.Time) { m.core.networkChanged(now, gone) })
}

// heedTime is how long Leave waits for peers to hear the goodbye.
const heedTime = 250 * time.Millisecond

// Leave says goodbye to all peers and takes nobody any more. It returns when they
// have heard it, or most likely will not; so the end of a connection that follows
// does not surprise them. The links stay until the peers close them, or Close.
func (m *Mesh) Leave() {
	heeded := make(chan struct{})
	m.step(nil, func(now time.Time) {
		m.core.leave(now, link.CodeLeaving)
		m.heeded = append(m.heeded, heeded)
	})
	select {
	case <-heeded:
	case <-time.After(heedTime):
	case <-m.ctx.Done():
	}
}

// goodbyeTime is how long Close waits for the kernel to take its goodbyes.
const goodbyeTime = 100 * time.Millisecond

// Close closes all links and listeners and tells the program that its
// connections have ended. It returns when nothing of the mesh is left running.
func (m *Mesh) Close() {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		m.wg.Wait()
		return
	}
	m.closed = true
	now := time.Now()
	if !m.core.leaving {
		m.core.leave(now, link.CodeClosed)
	}
	for _, s := range m.core.sorted() {
		if m.core.sessions[s.id] == s && !s.departing {
			m.core.closed(now, s.id, ErrClosed)
		}
	}
	links := make([]*link.Link, 0, len(m.links))
	for _, e := range m.links {
		links = append(links, e.Link)
	}
	m.dirty = nil
	m.mu.Unlock()

	m.cancel()
	m.streams.services.close()
	for _, ln := range m.cfg.Listeners {
		ln.Close()
	}
	var flush sync.WaitGroup
	for _, l := range links {
		l.Hurry(goodbyeTime)
		l.End()
		flush.Go(func() {
			if l.Flush() {
				l.Close()
			} // else whoever is writing closes it
		})
	}
	flush.Wait()
	m.gate.close()
	m.wg.Wait()
	m.deliver()
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.delivering { // by a goroutine of the program's
		m.delivered.Wait()
	}
}

// step lets f change core, does what has become due, and lets the consequences
// take place. What is to be written on the link own is written before it returns,
// which may block: own is nil or the link whose goroutine calls.
func (m *Mesh) step(own *link.Link, f func(now time.Time)) { m.stepping(own, false, f) }

// stepLater lets f change core, and has the consequences take place elsewhere: the caller
// may hold locks that the program needs to hear of them.
func (m *Mesh) stepLater(f func(now time.Time)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	now := time.Now()
	f(now)
	m.clockAt = now
	m.clock.Reset(0)
}

// stepTaking is step for a goroutine that has nothing else to do. If a connection is
// to be opened, which would need a goroutine of its own, it returns that for the
// caller to do, which saves a wake-up.
func (m *Mesh) stepTaking(own *link.Link, f func(now time.Time)) (job func()) {
	return m.stepping(own, true, f)
}

func (m *Mesh) stepping(own *link.Link, take bool, f func(now time.Time)) (job func()) {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil
	}
	now := time.Now()
	if f != nil {
		f(now)
	}
	m.core.run(now)
	if len(m.heeded) > 0 && m.core.heeded() {
		for _, ch := range m.heeded {
			close(ch)
		}
		m.heeded = nil
	}
	if due := m.core.due(); !due.Equal(m.clockAt) {
		m.clockAt = due
		if due.IsZero() {
			m.clock.Stop()
		} else {
			m.clock.Reset(due.Sub(now))
		}
	}
	mine := false
	for _, l := range m.dirty {
		if l == own {
			mine = true
		} else if l.Pending() {
			m.wg.Go(func() { l.Flush() })
		}
	}
	m.dirty = m.dirty[:0]
	if take && len(m.openings) > 0 {
		job, m.openings = m.openings[0], m.openings[1:]
	}
	for _, j := range append(m.jobs, m.openings...) {
		m.wg.Go(j)
	}
	m.jobs, m.openings = m.jobs[:0], nil
	news := len(m.outbox) > 0
	m.mu.Unlock()
	if mine {
		own.Flush()
	}
	if news {
		m.deliver()
	}
	return job
}

// deliver tells the program what has happened. Only one call at a time does; what
// happens meanwhile is delivered by it.
func (m *Mesh) deliver() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.delivering {
		return
	}
	m.delivering = true
	for len(m.outbox) > 0 {
		news := m.outbox
		m.outbox = nil
		m.mu.Unlock()
		for _, tell := range news {
			tell()
		}
		m.mu.Lock()
	}
	m.delivering = false
	m.delivered.Broadcast()
}

// runClock steps when core wants to run.
func (m *Mesh) runClock() {
	defer m.clock.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-m.clock.C:
			m.mu.Lock()
			m.clockAt = time.Time{}
			m.mu.Unlock()
			m.step(nil, nil)
		}
	}
}

// sideEffects is how core acts on a Mesh. Its methods are called with mu held.
type sideEffects Mesh

func (fx *sideEffects) send(id link.LinkID, frames []byte) {
	if e := fx.links[id]; e != nil {
		e.Send(frames)
		fx.dirty = append(fx.dirty, e.Link)
	}
}

func (fx *sideEffects) hello(id link.LinkID) {
	if e := fx.links[id]; e != nil {
		fx.send(id, (*Mesh)(fx).helloFrame(nil, "", endpoint(e.Conn.RemoteAddr()).Addr()))
	}
}

func (fx *sideEffects) admit(id link.LinkID) {
	if e := fx.links[id]; e != nil {
		e.Admit()
		e.release()
		if overtake := fx.dialling[fx.core.sessions[id].peer]; overtake != nil {
			(*overtake)()
		}
		close(fx.streams.adopted)
		fx.streams.adopted = make(chan struct{})
	}
}

func (fx *sideEffects) end(id link.LinkID) {
	if e := fx.links[id]; e != nil {
		e.End()
	}
}

func (fx *sideEffects) dial(p *peer, s *seed) {
	m := (*Mesh)(fx)
	m.counters.dials.Add(1)
	if p != nil {
		addrs := slices.Clone(p.trying)
		m.jobs = append(m.jobs, func() { m.dialPeer(p, addrs) })
	} else {
		m.jobs = append(m.jobs, func() { m.dialSeed(s) })
	}
}

func (fx *sideEffects) openConn(s *session) {
	m, number, token := (*Mesh)(fx), s.number, s.secret.Token(s.number)
	m.openings = append(m.openings, func() { m.openConn(s, number, token) })
}

func (fx *sideEffects) expect(s *session) {
	fx.unexpect(s)
	token := s.secret.Token(s.number)
	c := claim{s, s.number}
	if ch := fx.early[token]; ch != nil {
		delete(fx.early, token)
		ch <- c // buffered
		return
	}
	fx.tokens[token] = c
	fx.expected[s] = token
}

func (fx *sideEffects) unexpect(s *session) {
	if token, ok := fx.expected[s]; ok {
		delete(fx.expected, s)
		delete(fx.tokens, token)
	}
}

func (fx *sideEffects) down(s *session, cause error) {
	if c := fx.open[s]; c != nil {
		delete(fx.open, s)
		fx.outbox = append(fx.outbox, func() { fx.cfg.Program.Down(c, cause) })
	}
}

func (fx *sideEffects) lost(s *session, cause error) {
	if e := fx.links[s.id]; e != nil {
		e.path.lost.Store(&cause) // before Lost: see Stream.Lost
	}
	fx.outbox = append(fx.outbox, func() { fx.cfg.Program.Lost(s.peer.id, cause) })
}

func (fx *sideEffects) reject(r Rejection) {
	fx.outbox = append(fx.outbox, func() { fx.cfg.Program.Rejected(r) })
}

func (fx *sideEffects) reconfirm(id link.ID) {
	fx.outbox = append(fx.outbox, func() { fx.cfg.Reconfirm(id) })
}

func (fx *sideEffects) sampled(rtt time.Duration) { fx.counters.rtt.observe(rtt) }

func (fx *sideEffects) random() uint64 {
	var b [8]byte
	crand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}

// helloFrame appends this node's HELLO to a node at to. It is called with mu held.
func (m *Mesh) helloFrame(b []byte, target link.ID, to netip.Addr) []byte {
	h := link.Hello{
		MinVersion:  link.Version,
		MaxVersion:  link.Version,
		Name:        m.cfg.Name,
		ID:          m.cfg.ID,
		Incarnation: m.inc,
		Target:      target,
		Label:       m.cfg.Label,
		Meta:        m.cfg.Meta,
		Digest:      m.core.digest,
	}
	h.Addrs = tellable(m.cfg.Addrs(), to)
	h.Addrs = h.Addrs[:min(len(h.Addrs), link.MaxAddresses)]
	return link.AppendHello(b, &h)
}
