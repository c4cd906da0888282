package mesh

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"example.com/tcpnet/discovery"
	"example.com/tcpnet/internal/link"
)

// A world is a few nodes, each with a real core, and the sockets between them. It
// is a value that is never changed: apply returns the next one. Time stands still
// in it. A timer is armed or not, and one that is armed may fire at any moment,
// which is more than any clock would do.
type world struct {
	sc       *scenario
	nodes    []*node
	socks    []*sock // in the order in which they were made
	last     link.LinkID
	nonce    uint64
	budget   budget
	broken   string // the invariant that the last event has broken
	disturbs bool   // something but the nodes themselves has gone wrong on the way here
	log      func(format string, args ...any)
	mine     [8]bool // nodes that no other world shares
}

// budget is how often what need not happen may happen.
type budget struct {
	cuts      int8 // a socket carries nothing any more, and nobody is told
	slow      int8 // a timer fires although the answer would come
	kills     int8 // a process dies, its kernel lives
	powers    int8 // a machine dies
	closes    int8 // a program closes its connection
	shutdowns int8 // a node leaves in good order
	aborts    int8 // a node closes without waiting
	nets      int8 // a node is told that its network has changed
	hedges    int8 // a second socket is dialled because the first takes its time
}

// phase is how far a node's life has come.
type phase uint8

const (
	up      phase = iota
	leaving       // Shutdown, before Close
	down          // no process; the machine answers RST
	off           // no machine
)

type node struct {
	host    int
	gen     int
	id      link.ID
	phase   phase
	core    *core
	unknown uint8 // hosts that discovery has yet to tell it of
	expects []claimed
	open    []program // connections that the program has
	ended   []program // of departing sessions: the program has not closed them yet
	told    bool      // ErrDuplicateID
}

// claimed is a connection that a token stands for.
type claimed struct {
	link   link.LinkID
	number uint64
	secret link.Secret
}

type program struct {
	claimed
	conn link.LinkID // of the socket
	peer link.ID
	host int
}

// stage is how far one end of a socket has come.
type stage uint8

const (
	syn       stage = iota // the dialler waits for the other kernel
	greeting               // nothing read yet
	talking                // a link that core knows
	early                  // a connection with a token that is not known yet
	explained              // its token is known
	accepted               // it has answered
	inUse                  // the program has it
	gone                   // closed
)

type sockEnd struct {
	host, gen int
	stage     stage
}

type sock struct {
	id     link.LinkID
	conn   bool       // a connection, not a link
	ends   [2]sockEnd // the dialler's and the acceptor's
	q      [2][]msg   // what is on its way to each end
	lost   bool       // nothing passes any more
	reset  bool       // one end's process was killed
	target link.ID    // of a link: the peer it was dialled for
	seed   int        // the seed it was dialled for, or -1
	claimed
}

// Messages that are no frames.
const (
	msgFin link.FrameType = 0xF0 + iota
	msgRst
	msgAccepted
)

type msg struct {
	t      link.FrameType
	host   int // of HELLO: who sent it
	gen    int
	code   link.Code
	n      uint64 // the sequence, nonce or number
	secret link.Secret
	digest link.Digest
	target link.ID
	peers  []link.Entry
}

// now is the moment at which everything happens.
var now = time.Unix(1_700_000_000, 0)

// steadyRand makes no choice.
type steadyRand struct{}

func (steadyRand) Uint64() uint64 { return 0x5DEECE66D5DEECE6 }

func incarnation(host, gen int) (inc link.Incarnation) {
	inc[0], inc[1] = byte(host+1), byte(gen)
	return inc
}

// address is where a host's node listens: it gets another port when it is started
// again, except where the scenario says otherwise.
func (w *world) address(host, gen int) netip.AddrPort {
	if w.sc.samePort {
		gen = 0
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(host + 1)}), uint16(1000+gen))
}

// at returns the host that listens, or listened once, at an address.
func (w *world) at(a netip.AddrPort) (host int, listens bool) {
	host = int(a.Addr().As4()[3]) - 1
	n := w.nodes[host]
	return host, n.phase <= leaving && w.address(host, n.gen) == a
}

// start makes the node of a host, new or once more.
func (w *world) start(host, gen int) {
	n := &node{host: host, gen: gen, id: w.sc.ids[host]}
	if gen > 0 && w.sc.newID != "" {
		n.id = w.sc.newID
	}
	n.core = newCore(n.id, incarnation(host, gen), nil)
	n.core.interval, n.core.timeout, n.core.dials = 3*time.Second, 10*time.Second, 16
	n.core.rnd = rand.New(steadyRand{})
	w.nodes[host], w.mine[host] = n, true
	for other := range w.sc.ids {
		if other == host {
			continue
		}
		if w.sc.learns[host][other] {
			n.unknown |= 1 << other
		}
		if gen > 0 && w.sc.learns[other][host] {
			w.mut(other).unknown |= 1 << host
		}
	}
}

// plant gives a node its seeds.
func (w *world) plant(host int) {
	for _, seeded := range w.sc.seeds {
		if seeded[0] == host {
			w.step(host, func(c *core) { c.addSeed(now, w.address(seeded[1], 0).String()) })
		}
	}
}

func newWorld(sc *scenario) *world {
	w := &world{sc: sc, nodes: make([]*node, len(sc.ids)), budget: sc.budget}
	for host := range sc.ids {
		w.start(host, 0)
	}
	for host := range sc.ids {
		w.plant(host)
	}
	w.share()
	return w
}

// copy returns a world that can be changed by mut and mutSock.
func (w *world) copy() *world {
	d := *w
	d.nodes, d.socks = slices.Clone(w.nodes), slices.Clone(w.socks)
	d.mine = [8]bool{}
	return &d
}

// share makes w ready to be copied.
func (w *world) share() {
	for _, n := range w.nodes {
		n.core.fx = nil
	}
}

// mut returns a node that may be changed.
func (w *world) mut(host int) *node {
	n := w.nodes[host]
	if !w.mine[host] {
		d := *n
		d.core = cloneCore(n.core)
		d.expects, d.open, d.ended = slices.Clone(n.expects), slices.Clone(n.open), slices.Clone(n.ended)
		n = &d
		w.nodes[host], w.mine[host] = n, true
	}
	n.core.fx = hands{w, n}
	return n
}

// get returns a socket that may be read, or nil.
func (w *world) get(id link.LinkID) *sock {
	for _, s := range w.socks {
		if s.id == id {
			return s
		}
	}
	return nil
}

// mutSock returns a socket that may be changed.
func (w *world) mutSock(id link.LinkID) *sock {
	for i, s := range w.socks {
		if s.id == id {
			d := *s
			d.q[0], d.q[1] = slices.Clone(s.q[0]), slices.Clone(s.q[1])
			w.socks[i] = &d
			return &d
		}
	}
	return nil
}

func (w *world) note(format string, args ...any) {
	if w.log != nil {
		w.log(format, args...)
	}
}

func (w *world) violate(format string, args ...any) {
	if w.broken == "" {
		w.broken = fmt.Sprintf(format, args...)
	}
}

// end returns which end of s is at a host: a process has one end only.
func (s *sock) end(host int) int {
	if s.ends[0].host == host {
		return 0
	}
	return 1
}

// broken reports whether what one end says no longer reaches a living other end.
func (s *sock) isBroken(end int) bool { return s.lost || s.ends[1-end].stage == gone }

// put sends a message to the other end.
func (w *world) put(id link.LinkID, from int, m msg) {
	s := w.mutSock(id)
	if s.ends[from].stage == gone || s.isBroken(from) {
		return
	}
	s.q[1-from] = append(s.q[1-from], m)
}

// shut closes one end of a socket; how is msgFin or msgRst.
func (w *world) shut(id link.LinkID, end int, how link.FrameType) {
	s := w.get(id)
	if s == nil || s.ends[end].stage == gone {
		return
	}
	w.put(id, end, msg{t: how})
	s = w.mutSock(id)
	s.ends[end].stage, s.q[end] = gone, nil
	s.reset = s.reset || how == msgRst
	if s.ends[1-end].stage == gone || s.ends[1-end].stage == greeting && s.lost && end == 0 {
		// Nobody is left who knows of it, or one whose place among the
		// strangers runs out unseen by core.
		w.socks = slices.DeleteFunc(w.socks, func(t *sock) bool { return t.id == id })
	}
}

// --- what core does ---

// hands carries out what the core of a node wants.
type hands struct {
	w *world
	n *node
}

func (h hands) sock(id link.LinkID) (*sock, int) {
	s := h.w.get(id)
	if s == nil {
		return nil, 0
	}
	end := s.end(h.n.host)
	if s.ends[end].stage == gone {
		return nil, 0
	}
	return s, end
}

func (h hands) send(id link.LinkID, b []byte) {
	s, end := h.sock(id)
	if s == nil {
		return
	}
	for len(b) > 0 {
		length := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
		m := parse(link.FrameType(b[0]), b[4:4+length])
		b = b[4+length:]
		if m.t == link.FramePing && h.w.sc.mutant.neverProbes() {
			continue
		}
		h.w.note("   %s sends %v on %d", h.n.name(), m, id)
		h.w.put(id, end, m)
	}
}

func (h hands) hello(id link.LinkID) {
	if s, end := h.sock(id); s != nil {
		h.w.put(id, end, h.w.helloOf(h.n, ""))
	}
}

func (h hands) admit(link.LinkID) {}

func (h hands) end(id link.LinkID) {
	if s, end := h.sock(id); s != nil {
		h.w.note("   %s ends %d", h.n.name(), id)
		h.w.shut(id, end, msgFin)
	}
}

func (h hands) dial(p *peer, sd *seed) {
	s := &sock{seed: -1}
	var addrs []netip.AddrPort
	if p != nil {
		s.target, addrs = p.id, p.addrs
	} else {
		s.seed = slices.Index(h.n.core.seeds, sd)
		addrs = []netip.AddrPort{netip.MustParseAddrPort(sd.text)}
	}
	if len(addrs) == 0 { // they were found to be another node's meanwhile
		h.w.last++
		s.id = h.w.last
		s.ends = [2]sockEnd{{h.n.host, h.n.gen, syn}, {(h.n.host + 1) % len(h.w.nodes), 0, gone}}
		h.w.socks = append(h.w.socks, s)
		return
	}
	// Of the addresses the first one at which somebody answers is the one.
	to := addrs[0]
	for _, a := range addrs {
		if host, listens := h.w.at(a); listens && h.w.sc.reach(h.n.host, host) {
			to = a
			break
		}
	}
	h.w.connect(h.n, s, to)
	if s.ends[1].stage == greeting {
		s.q[1] = []msg{h.w.helloOf(h.n, s.target)}
	}
	h.w.note("   %s dials %v: socket %d", h.n.name(), to, s.id)
}

func (h hands) openConn(s *session) {
	c := &sock{conn: true, seed: -1, claimed: claimed{s.id, s.number, s.secret}}
	h.w.connect(h.n, c, s.remote)
	h.w.note("   %s opens connection %d of %d: socket %d", h.n.name(), s.number, s.id, c.id)
}

// connect makes a socket from a node to an address.
func (w *world) connect(n *node, s *sock, to netip.AddrPort) {
	w.last++
	s.id = w.last
	host, listens := w.at(to)
	s.ends[0] = sockEnd{n.host, n.gen, syn}
	s.ends[1] = sockEnd{host, w.nodes[host].gen, gone}
	if listens && w.sc.reach(n.host, host) {
		s.ends[0].stage, s.ends[1].stage = greeting, greeting
	}
	w.socks = append(w.socks, s)
}

func (h hands) expect(s *session) {
	h.unexpect(s)
	for _, c := range h.w.socks {
		if c.conn && c.claimed == (claimed{s.id, s.number, s.secret}) && c.ends[1].stage == early {
			h.w.mutSock(c.id).ends[1].stage = explained
			return
		}
	}
	h.n.expects = append(h.n.expects, claimed{s.id, s.number, s.secret})
}

func (h hands) unexpect(s *session) {
	h.n.expects = slices.DeleteFunc(h.n.expects, func(c claimed) bool { return c.link == s.id })
}

func (h hands) down(s *session, cause error) {
	i := slices.IndexFunc(h.n.open, func(p program) bool { return p.link == s.id })
	if i < 0 {
		h.w.violate("%s is told that a connection has ended which it does not have", h.n.name())
		return
	}
	h.w.note("   %s: connection %d is down: %v", h.n.name(), h.n.open[i].conn, cause)
	h.n.ended = append(h.n.ended, h.n.open[i])
	h.n.open = slices.Delete(h.n.open, i, i+1)
	if !h.w.disturbs && h.w.sc.undisturbed {
		h.w.violate("%s loses its connection although nothing has happened: %v", h.n.name(), cause)
	}
}

// lost is for streams, which the model does not have.
func (h hands) lost(*session, error) {}

func (h hands) reject(r Rejection) {
	h.w.note("   %s: rejected %s: %v", h.n.name(), r.Peer.ID, r.Err)
	if errors.Is(r.Err, ErrDuplicateID) {
		h.n.told = true
	}
}

func (h hands) reconfirm(link.ID) {}

func (h hands) sampled(time.Duration) {}

func (h hands) random() uint64 {
	h.w.nonce++
	return h.w.nonce
}

func (n *node) name() string { return fmt.Sprintf("%c%d", 'A'+n.host, n.gen) }

func (m msg) String() string {
	switch m.t {
	case link.FrameHello:
		return fmt.Sprintf("HELLO(%c%d for %q)", 'A'+m.host, m.gen, m.target)
	case link.FrameCommit:
		return fmt.Sprintf("COMMIT(%d)", m.n)
	case link.FrameReject:
		return fmt.Sprintf("REJECT(%v)", m.code)
	case link.FrameGoodbye:
		return fmt.Sprintf("GOODBYE(%v)", m.code)
	case link.FramePing:
		return fmt.Sprintf("PING(%d)", m.n)
	case link.FramePong:
		return fmt.Sprintf("PONG(%d)", m.n)
	case link.FrameClose:
		return fmt.Sprintf("CLOSE(%d)", m.n)
	case link.FrameAsk:
		return "ASK"
	case link.FrameHearsay:
		return fmt.Sprintf("HEARSAY(%v)", m.peers)
	case link.FramePeers:
		return fmt.Sprintf("PEERS(%v)", m.peers)
	case msgFin:
		return "FIN"
	case msgRst:
		return "RST"
	default:
		return "ACCEPTED"
	}
}

// parse reads a frame as a real node would.
func parse(t link.FrameType, p []byte) (m msg) {
	m.t = t
	var err error
	switch t {
	case link.FrameCommit:
		var c link.Commit
		c, err = link.ParseCommit(p)
		m.n, m.secret = c.Seq, c.Secret
	case link.FrameReject:
		m.code = link.Code(p[0])
	case link.FrameGoodbye:
		m.code = link.Code(p[0])
	case link.FramePing, link.FramePong:
		m.n, m.digest.Count = binary.BigEndian.Uint64(p), binary.BigEndian.Uint32(p[8:])
		m.digest.Hash = binary.BigEndian.Uint64(p[12:])
	case link.FrameClose:
		m.n = binary.BigEndian.Uint64(p)
	case link.FrameAsk:
	case link.FramePeers, link.FrameHearsay:
		m.peers, _, err = link.ParsePeers(p)
	default:
		panic(fmt.Sprintf("core sent a frame of type %d", t))
	}
	if err != nil {
		panic(err)
	}
	return m
}

func (w *world) helloOf(n *node, target link.ID) msg {
	return msg{t: link.FrameHello, host: n.host, gen: n.gen, target: target, digest: n.core.digest}
}

// --- what the edge around core does: accept.go, dial.go, conns.go ---

// step lets f change the core of a node, as Mesh.step does.
func (w *world) step(host int, f func(c *core)) {
	n := w.mut(host)
	before := n.linked()
	f(n.core)
	w.sc.tamper(n)
	n.core.run(now)
	w.sc.tamper(n)
	w.checkOrder(n, before)
	n.ended = slices.DeleteFunc(n.ended, func(p program) bool {
		if s := n.core.sessions[p.link]; s != nil && s.departing {
			return false
		}
		w.closeProgram(n, p)
		return true
	})
	w.check(n)
}

// closeProgram closes the program's end of a socket.
func (w *world) closeProgram(n *node, p program) {
	if s := w.get(p.conn); s != nil {
		w.shut(p.conn, s.end(n.host), msgFin)
	}
}

// session returns that of a link, or one that core has forgotten.
func (n *node) session(id link.LinkID) *session {
	if s := n.core.sessions[id]; s != nil {
		return s
	}
	return &session{id: id, peer: &peer{}, hello: &link.Hello{}}
}

// deliver hands the next message to one end of a socket.
func (w *world) deliver(id link.LinkID, end int) {
	s := w.mutSock(id)
	m := s.q[end][0]
	s.q[end] = slices.Delete(s.q[end], 0, 1)
	w.note("%s gets %v on %d", w.nodes[s.ends[end].host].name(), m, id)
	switch {
	case s.conn:
		w.deliverConn(s, end, m)
	case s.ends[end].stage == talking:
		w.frame(s, end, m)
	case end == 0:
		w.answered(s, m)
	case m.t != link.FrameHello:
		w.shut(id, end, msgFin)
	default:
		w.greeted(s, m)
	}
}

// greeted is serveLink.
func (w *world) greeted(s *sock, m msg) {
	n := w.mut(s.ends[1].host)
	sess := w.newSession(s, 1, m)
	if code := w.refuse(n, sess, m.target); code != 0 {
		w.put(s.id, 1, msg{t: link.FrameReject, code: code})
		w.shut(s.id, 1, msgFin)
		return
	}
	w.mutSock(s.id).ends[1].stage = talking
	w.step(n.host, func(c *core) {
		w.sc.meet(c, sess.hello.ID)
		c.hello(now, sess, nil)
	})
}

// refuse is Mesh.check, for both sides: target is the ID that was meant.
func (w *world) refuse(n *node, s *session, target link.ID) link.Code {
	switch {
	case s.hello.Incarnation == n.core.inc:
		return link.CodeSelf
	case s.hello.ID == n.id:
		w.step(n.host, func(c *core) { c.fx.reject(Rejection{Err: ErrDuplicateID}) })
		return link.CodeDuplicateID
	case s.dialled && target != "" && s.hello.ID != target, !s.dialled && target != "" && target != n.id:
		return link.CodeWrongNode
	}
	return 0
}

func (w *world) newSession(s *sock, end int, m msg) *session {
	them := w.address(m.host, m.gen)
	return &session{
		id: s.id,
		hello: &link.Hello{
			MinVersion: 1, MaxVersion: 1, Incarnation: incarnation(m.host, m.gen),
			ID: w.idOf(m.host, m.gen), Addrs: []netip.AddrPort{them}, Digest: m.digest,
		},
		dialled: end == 0,
		remote:  them,
	}
}

func (w *world) idOf(host, gen int) link.ID {
	if gen > 0 && w.sc.newID != "" {
		return w.sc.newID
	}
	return w.sc.ids[host]
}

// answered is shakeHands from where it reads the answer.
func (w *world) answered(s *sock, m msg) {
	host := s.ends[0].host
	a := w.address(s.ends[1].host, s.ends[1].gen)
	switch m.t {
	case link.FrameHello:
		n := w.mut(host)
		sess := w.newSession(s, 0, m)
		if s.seed >= 0 {
			sess.seed = n.core.seeds[s.seed]
		}
		code := w.refuse(n, sess, s.target)
		if code == 0 {
			w.mutSock(s.id).ends[0].stage = talking
			w.won(s)
			w.step(host, func(c *core) {
				w.sc.meet(c, sess.hello.ID)
				p, sd := w.attempt(c, s)
				if sd != nil {
					c.hello(now, sess, &sd.dial)
				} else {
					c.hello(now, sess, &p.dial)
				}
			})
			return
		}
		w.put(s.id, 0, msg{t: link.FrameReject, code: code})
		w.shut(s.id, 0, msgFin)
		w.attemptFailed(s, a, code)
	case link.FrameReject:
		w.shut(s.id, 0, msgFin)
		w.attemptFailed(s, a, m.code)
	default:
		w.shut(s.id, 0, msgFin)
		w.attemptFailed(s, a, 0)
	}
}

// attempt returns the peer or the seed that a socket was dialled for.
func (w *world) attempt(c *core, s *sock) (*peer, *seed) {
	if s.seed >= 0 {
		return nil, c.seeds[s.seed]
	}
	p := c.peers[s.target]
	if p == nil {
		w.violate("an attempt is under way at %s, who is not in the table", s.target)
		p = &peer{}
	}
	return p, nil
}

func (w *world) attemptFailed(s *sock, a netip.AddrPort, code link.Code) {
	w.step(s.ends[0].host, func(c *core) {
		p, sd := w.attempt(c, s)
		switch { // Mesh.refused
		case code == link.CodeSelf:
			c.reachedSelf(a, p, sd)
		case code == link.CodeWrongNode && p != nil:
			c.wrongNode(now, a, p)
		case code == link.CodeLeaving && p != nil:
			c.gone(now, p, []netip.AddrPort{a})
		}
		if len(w.rivals(s)) > 0 {
			return
		}
		err := errors.New("no link")
		if code != 0 {
			err = &answer{code: code, err: rejectError(link.Reject{Code: code})}
		}
		c.dialFailed(now, p, sd, code, err)
	})
}

// rivals returns the other sockets of an attempt, which are raced.
func (w *world) rivals(s *sock) (ids []link.LinkID) {
	for _, r := range w.socks {
		if r.id != s.id && r.conn == s.conn && r.ends[0].host == s.ends[0].host && r.ends[0].gen == s.ends[0].gen &&
			r.ends[0].stage <= greeting && r.target == s.target && r.seed == s.seed && r.claimed == s.claimed {
			ids = append(ids, r.id)
		}
	}
	return ids
}

// won ends the race that a socket was in.
func (w *world) won(s *sock) {
	for _, id := range w.rivals(s) {
		w.shut(id, 0, msgFin)
	}
}

// frame is Mesh.frame.
func (w *world) frame(s *sock, end int, m msg) {
	id := s.id
	if m.t == msgFin || m.t == msgRst {
		w.linkLost(s, end)
		return
	}
	if m.t == link.FrameCommit {
		m.n = w.sc.sequence(w.nodes[s.ends[end].host], id, m.n)
	}
	w.step(s.ends[end].host, func(c *core) {
		c.heard(now, id)
		switch m.t {
		case link.FrameCommit:
			c.commit(now, id, link.Commit{Seq: m.n, Secret: m.secret})
		case link.FrameReject:
			c.rejected(now, id, link.Reject{Code: m.code})
		case link.FramePing:
			c.gotPing(now, id, link.Ping{Nonce: m.n, Digest: m.digest})
		case link.FramePong:
			c.gotPong(now, id, link.Ping{Nonce: m.n, Digest: m.digest})
		case link.FrameGoodbye:
			c.goodbye(now, id, link.Goodbye{Code: m.code})
		case link.FrameClose:
			c.gotClose(now, id, m.n)
		case link.FrameAsk:
			c.gotAsk(now, id)
		case link.FramePeers:
			c.gotPeers(now, id, m.peers, false)
		case link.FrameHearsay:
			c.gotHearsay(now, id, m.peers)
		case link.FrameHello:
			w.violate("a second HELLO on one link")
		}
	})
}

// linkLost is the end of Mesh.run.
func (w *world) linkLost(s *sock, end int) {
	w.shut(s.id, end, msgFin)
	w.step(s.ends[end].host, func(c *core) { c.closed(now, s.id, ErrReset) })
}

// deliverConn is what openConn and serveConn wait for.
func (w *world) deliverConn(s *sock, end int, m msg) {
	switch {
	case end == 0 && s.ends[0].stage == greeting && m.t == msgAccepted:
		w.won(s)
		w.connUp(s, 0)
	case end == 0 && s.ends[0].stage == greeting:
		w.connFailed(s)
	case s.ends[end].stage == inUse:
		// The program may notice or not: see noticed.
	case m.t == msgFin || m.t == msgRst:
		if s.ends[end].stage == greeting || s.ends[end].stage == early {
			return // it reads nothing before the token is known
		}
	}
}

// redeem is what serveConn does with a token.
func (w *world) redeem(s *sock) {
	n := w.mut(s.ends[1].host)
	s = w.mutSock(s.id)
	for i, c := range n.expects {
		if c == s.claimed {
			n.expects = slices.Delete(n.expects, i, i+1)
			s.ends[1].stage = explained
			return
		}
	}
	for _, t := range w.socks {
		if t.conn && t.claimed == s.claimed && t.ends[1].stage == early {
			w.shut(s.id, 1, msgFin)
			return
		}
	}
	s.ends[1].stage = early
}

func (w *world) connUp(s *sock, end int) {
	host := s.ends[end].host
	ok := false
	w.step(host, func(c *core) {
		n := w.nodes[host]
		sess := n.session(s.link)
		if ok = c.connUp(now, sess, s.number); !ok {
			return
		}
		for _, p := range n.open {
			if p.peer == sess.peer.id {
				w.violate("NO DOUBLE: %s has two connections to %s", n.name(), p.peer)
			}
		}
		n.open = append(n.open, program{s.claimed, s.id, sess.peer.id, s.ends[1-end].host})
	})
	if ok {
		w.note("   %s: connection %d is up", w.nodes[host].name(), s.id)
		w.mutSock(s.id).ends[end].stage = inUse
	} else {
		w.shut(s.id, end, msgFin)
	}
	w.check(w.nodes[host])
}

func (w *world) connFailed(s *sock) {
	w.shut(s.id, 0, msgFin)
	if len(w.rivals(s)) > 0 {
		return
	}
	host := s.ends[0].host
	w.step(host, func(c *core) { c.connFailed(now, w.nodes[host].session(s.link), s.number) })
}

// quit ends a node's process; how is what its sockets say to the other ends, or 0
// if they say nothing.
func (w *world) quit(host int, how link.FrameType, then phase) {
	n := w.mut(host)
	for _, s := range slices.Clone(w.socks) {
		for end := range s.ends {
			if s.ends[end].host != host || s.ends[end].stage == gone {
				continue
			}
			if how == 0 {
				t := w.mutSock(s.id)
				t.lost, t.q = true, [2][]msg{}
			}
			w.shut(s.id, end, how)
		}
	}
	for other := range w.nodes {
		if other != host && w.nodes[other].unknown&(1<<host) != 0 {
			w.mut(other).unknown &^= 1 << host
		}
	}
	n.phase, n.unknown, n.expects, n.open, n.ended = then, 0, nil, nil, nil
	c := newCore(n.id, n.core.inc, nil) // nothing of the old one is left
	n.core = c
}

func (w *world) found(host, other int) {
	n := w.mut(host)
	n.unknown &^= 1 << other
	o := w.nodes[other]
	w.step(host, func(c *core) {
		c.found(now, discovery.Candidate{
			ID: string(o.id), Addrs: []netip.AddrPort{w.address(other, o.gen)}, Source: "mdns", Announced: true,
		})
	})
}

var stageText = [...]string{"syn", "greeting", "talking", "early", "explained", "accepted", "in use", "gone"}

// describe says what a world looks like.
func (w *world) describe() string {
	var b strings.Builder
	for _, n := range w.nodes {
		fmt.Fprintf(&b, "= %s (%s) phase %d, unknown %b, connections %v, ended %v\n", n.name(), n.id, n.phase, n.unknown, n.open, n.ended)
		for _, p := range n.core.everyone() {
			in := inside(&p.arb)
			fmt.Fprintf(&b, "    %s: link %d probing %v waiting %v pending %v, due %v dialing %v left %v addrs %v\n",
				p.id, in.cur.id, in.probing, in.waiting, in.pending, !p.dial.due.IsZero(), p.dial.dialing, p.left, p.addrs)
		}
	}
	for _, s := range w.socks {
		fmt.Fprintf(&b, "= socket %d conn %v of %d/%d lost %v\n", s.id, s.conn, s.link, s.number, s.lost)
		for end, e := range s.ends {
			fmt.Fprintf(&b, "    %c%d %s, to come %v", 'A'+e.host, e.gen, stageText[e.stage], s.q[end])
			if x := w.nodes[e.host].core.sessions[s.id]; x != nil && e.stage == talking {
				fmt.Fprintf(&b, ", adopted %v state %d number %d departing %v", x.adopted, x.state, x.number, x.departing)
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}
