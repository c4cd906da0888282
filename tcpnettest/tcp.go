package tcpnettest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"
)

// How TCP behaves here, in the figures of Linux where it has some.
const (
	bufferSize  = 128 << 10 // bytes, of sending and of receiving
	maxSegment  = 16 << 10  // bytes
	firstRTO    = time.Second
	minRTO      = 200 * time.Millisecond
	maxRTO      = 120 * time.Second
	giveUp      = 924 * time.Second // unacknowledged bytes, without SetUserTimeout
	orphanTime  = 100 * time.Second // the same, after the program has closed
	synTime     = 127 * time.Second
	lastTime    = 60 * time.Second // FIN-WAIT-2 and TIME-WAIT
	arpTime     = 3 * time.Second  // until nobody is known to have an address
	maxBacklog  = 4096
	probesAlive = 9 // keep-alive probes without an answer, unless set
)

// tuple names a socket on its host.
type tuple struct{ local, remote netip.AddrPort }

type tcpState uint8

const (
	synSent tcpState = iota
	synReceived
	established
	timeWait
	closed
)

// segment is one of TCP. Places in the stream count from 0; the end of the stream
// takes one.
type segment struct {
	src, dst       netip.AddrPort
	syn, fin, rst  bool
	hasAck, probe  bool
	seq, ack, edge uint64 // edge: how far the other side may send
	data           []byte
}

// socket is one end of a TCP connection, as the system keeps it. It is guarded by
// lan.mu.
type socket struct {
	host    *Host
	process *process
	tuple
	zone     string // of both addresses
	listener *listener
	flow     uint64
	count    uint64 // segments sent
	last     int64  // when the last of them arrives
	rnd      *rand.Rand

	state  tcpState
	failed error // told to the program once, see take
	told   bool
	closed bool // by the program

	// Sending.
	out      []byte // from una on: not acknowledged, or not sent yet
	una, nxt uint64
	edge     uint64 // how far the other side lets us send
	fin      bool   // the stream ends behind out
	finished bool   // and the other side knows
	recover  uint64 // what was sent before the last time-out is sent again up to here
	dups     int    // acknowledgements in a row that bring nothing
	timer    event
	backoff  int
	since    int64 // since when una was waited for; 0: nothing is
	userTime time.Duration
	rtt      time.Duration // smoothed
	rttvar   time.Duration
	timed    uint64 // the place whose acknowledgement is timed
	timedAt  int64  // 0: none

	// Receiving.
	in         []byte // not read yet, up to rcv
	rcv        uint64
	early      []segment // came before what is before them
	eof        bool
	shut       bool   // CloseRead
	abrupt     bool   // SetLinger(0)
	advertised uint64 // the edge that the other side was told

	// Keep-alive.
	keep                event
	keepIdle, keepEvery time.Duration
	keepCount           int
	heard               int64
	probes              int

	readable, writable *sync.Cond // readable also tells of everything else
	readBy, writeBy    time.Time
}

// newSocket returns one that is in the host's table. It is called with lan.mu held.
func (h *Host) newSocket(p *process, t tuple) *socket {
	s := &socket{
		host: h, process: p, tuple: t,
		flow:       hash(t.local.String() + t.remote.String()),
		advertised: bufferSize,
	}
	s.timer = event{flow: s.flow, index: -1, do: s.timeout}
	s.keep = event{flow: s.flow, seq: 1, index: -1, do: s.keepAlive}
	s.readable, s.writable = sync.NewCond(&h.lan.mu), sync.NewCond(&h.lan.mu)
	h.sockets[t] = s
	return s
}

// socketsInOrder returns the host's sockets in an order that does not depend on
// chance. It is called with lan.mu held.
func (h *Host) socketsInOrder() []*socket {
	all := make([]*socket, 0, len(h.sockets))
	for _, s := range h.sockets {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *socket) int {
		if c := a.local.Compare(b.local); c != 0 {
			return c
		}
		return a.remote.Compare(b.remote)
	})
	return all
}

// connect begins a connection. It is called with lan.mu held.
func (p *process) connect(addr netip.AddrPort) (*socket, error) {
	h := p.host
	if p.dead {
		return nil, syscall.EBADF
	}
	dst := addr.Addr().Unmap()
	via, src, err := h.route(dst)
	if err != nil {
		return nil, err
	}
	t := tuple{remote: netip.AddrPortFrom(dst.WithZone(""), addr.Port())}
	for {
		t.local = netip.AddrPortFrom(src, h.freePort())
		if h.sockets[t] == nil {
			break
		}
	}
	h.stats.Dials++
	s := h.newSocket(p, t)
	s.zone = dst.Zone()
	if via != nil && dst.Is6() && dst.IsLinkLocalUnicast() {
		s.zone = via.ifi.Name
	}
	s.state = synSent
	p.perform(func() {
		if s.state == synSent {
			s.since = h.lan.now()
			s.send(segment{syn: true})
			s.armTimer()
		}
	})
	return s, nil
}

func (s *socket) random() *rand.Rand {
	if s.rnd == nil {
		s.rnd = rand.New(rand.NewPCG(s.host.lan.seed, s.flow))
	}
	return s.rnd
}

// send sends a segment. It is called with lan.mu held.
func (s *socket) send(g segment) {
	g.src, g.dst = s.local, s.remote
	if s.state != synSent {
		g.hasAck, g.ack, g.edge = true, s.rcv, s.rcv-uint64(len(s.in))+bufferSize
		if s.eof {
			g.ack++
		}
		s.advertised = g.edge
	}
	s.count++
	s.host.transmit(g, s.zone, parcel{flow: s.flow, seq: s.count, rnd: s.random, last: &s.last}, func() {
		// Nobody has the address.
		if s.state == synSent {
			// Its place is behind the timer's, which may go off at the same instant.
			s.host.lan.schedule(&event{at: s.since + int64(arpTime), flow: s.flow, seq: s.count, do: func() {
				if s.state == synSent {
					s.abort(syscall.EHOSTUNREACH)
				}
			}})
		}
	})
}

// transmit sends a segment from a host. It is called with lan.mu held.
func (h *Host) transmit(g segment, zone string, k parcel, nowhere func()) {
	via, _, err := h.route(g.dst.Addr().WithZone(zone))
	if err != nil {
		return
	}
	h.stats.Segments++
	h.stats.Bytes += len(g.data)
	k.size, k.dial, k.to = len(g.data), g.syn && !g.hasAck, g.dst.Addr()
	if via != nil && h.owner(g.src.Addr()) == nil {
		return // the address that it comes from is gone
	}
	h.lan.carry(h, via, k, func(in *port) { in.host.segment(in, g) }, func() {
		// A firewall says no for the host there.
		h.segment(nil, segment{src: g.dst, dst: g.src, rst: true})
	}, nowhere)
}

// segment takes one that has come in. It is called with lan.mu held.
func (h *Host) segment(in *port, g segment) {
	var kind string
	if h.lan.wire != nil {
		kind = g.kind()
	}
	h.lan.delivered(h, kind, g.src, g.dst, len(g.data))
	s := h.sockets[tuple{g.dst, g.src}]
	if s != nil {
		s.heard, s.probes = h.lan.now(), 0
		s.receive(g)
		return
	}
	zone := ""
	if in != nil && g.src.Addr().Is6() && g.src.Addr().IsLinkLocalUnicast() {
		zone = in.ifi.Name
	}
	if g.syn && !g.hasAck {
		if l := h.listening(g.dst); l != nil {
			l.syn(g, zone)
			return
		}
	}
	if !g.rst {
		h.refuse(g, zone)
	}
}

func (g segment) kind() string {
	switch {
	case g.rst:
		return "RST"
	case g.syn && g.hasAck:
		return "SYN+ACK"
	case g.syn:
		return "SYN"
	case g.fin:
		return fmt.Sprintf("FIN %d", g.seq)
	case len(g.data) > 0:
		return fmt.Sprintf("data %d", g.seq)
	}
	return "ACK"
}

// refuse answers a segment that is for no socket.
func (h *Host) refuse(g segment, zone string) {
	flow := hash(g.dst.String() + g.src.String())
	rnd := func() *rand.Rand { return rand.New(rand.NewPCG(h.lan.seed, flow^uint64(h.lan.now()))) }
	h.transmit(segment{src: g.dst, dst: g.src, rst: true}, zone, parcel{flow: flow, rnd: rnd}, nil)
}

// receive takes a segment of the connection.
func (s *socket) receive(g segment) {
	switch {
	case g.rst:
		switch {
		case s.state == synSent:
			s.abort(syscall.ECONNREFUSED)
		case s.eof && !s.fin: // there is nothing more to read, only to write
			s.abort(syscall.EPIPE)
		default:
			s.abort(syscall.ECONNRESET)
		}
		return
	case s.state == synSent && g.syn && g.hasAck:
		s.establish(g)
		s.send(segment{})
		return
	case s.state == synSent:
		if g.hasAck { // of a connection that this host has forgotten
			s.host.refuse(g, s.zone)
		}
		return
	case g.syn && !g.hasAck:
		if s.state == synReceived {
			s.send(segment{syn: true})
		} else { // the other side has forgotten the connection; its answer will tell
			s.send(segment{})
		}
		return
	case g.syn:
		s.send(segment{})
		return
	case s.state == synReceived:
		if !s.accepted(g) {
			return
		}
	}
	s.acknowledged(g)
	if s.state == closed {
		return
	}
	if len(g.data) > 0 || g.fin {
		s.arrived(g)
	} else if g.probe {
		s.send(segment{})
	}
}

// establish is called for the segment that makes the connection.
func (s *socket) establish(g segment) {
	if s.timedAt == 0 && s.backoff == 0 && s.since > 0 {
		s.sample(time.Duration(s.host.lan.now() - s.since))
	}
	s.state, s.edge = established, g.edge
	s.since, s.backoff = 0, 0
	s.host.lan.cancel(&s.timer)
	s.armKeep()
	s.wake()
}

// sample takes a round trip (RFC 6298, 2).
func (s *socket) sample(r time.Duration) {
	if s.rtt == 0 {
		s.rtt, s.rttvar = r, r/2
		return
	}
	s.rttvar += ((s.rtt - r).Abs() - s.rttvar) / 4
	s.rtt += (r - s.rtt) / 8
}

func (s *socket) rto() time.Duration {
	d := firstRTO
	if s.rtt > 0 && s.state != synSent && s.state != synReceived {
		d = max(s.rtt+4*s.rttvar, minRTO)
	}
	return min(d<<min(s.backoff, 16), maxRTO)
}

// end returns the place behind all that the program has written.
func (s *socket) end() uint64 { return s.una + uint64(len(s.out)) }

// acknowledged takes what a segment says of what was sent.
func (s *socket) acknowledged(g segment) {
	if !g.hasAck {
		return
	}
	end := s.end()
	wider := g.edge > s.edge
	s.edge = max(s.edge, g.edge)
	switch {
	case g.ack > s.una && g.ack <= s.nxt:
		if s.timedAt > 0 && g.ack > s.timed {
			s.sample(time.Duration(s.host.lan.now() - s.timedAt))
			s.timedAt = 0
		}
		n := min(g.ack, end) - s.una
		s.out = s.out[n:]
		if len(s.out) == 0 {
			s.out = nil
		}
		s.una, s.backoff, s.dups = s.una+n, 0, 0
		s.finished = g.ack > end
		s.since = 0
		if s.waiting() {
			s.since = s.host.lan.now()
			if s.una < s.recover {
				s.repeat()
			}
		}
		s.host.lan.cancel(&s.timer)
		s.writable.Broadcast()
	case g.ack == s.una && s.nxt == s.una && s.userTime == 0:
		if s.since > 0 { // a closed window is no reason to give up
			s.since = s.host.lan.now()
		}
	case g.ack == s.una && s.waiting() && !wider && len(g.data) == 0 && !g.fin && !g.probe:
		if s.dups++; s.dups == 3 && s.una >= s.recover {
			s.recover = s.nxt
			s.repeat()
		}
	}
	s.pump()
	s.finish()
}

// waiting reports whether something was sent that was not acknowledged.
func (s *socket) waiting() bool { return s.una < s.nxt && !s.finished }

// pump sends what the other side lets it send.
func (s *socket) pump() {
	if s.state != established || s.finished {
		return
	}
	end := s.end()
	for s.nxt < min(end, s.edge) {
		n := min(end-s.nxt, s.edge-s.nxt, maxSegment)
		if s.timedAt == 0 {
			s.timed, s.timedAt = s.nxt, s.host.lan.now()
		}
		s.sent(s.nxt, n)
		s.nxt += n
	}
	if s.fin && s.nxt == end {
		s.sent(end, 0)
		s.nxt++
	}
	if s.waiting() || s.nxt < end {
		if s.since == 0 {
			s.since = s.host.lan.now()
		}
		if s.timer.index < 0 {
			s.armTimer()
		}
	}
}

// sent sends n bytes at a place, or the end of the stream if there are none.
func (s *socket) sent(at, n uint64) {
	i := at - s.una
	s.send(segment{seq: at, data: s.out[i : i+n : i+n], fin: n == 0})
}

// repeat sends again what is waited for longest.
func (s *socket) repeat() {
	s.timedAt = 0
	end := s.end()
	switch {
	case s.una < min(s.nxt, end):
		s.sent(s.una, min(s.nxt-s.una, end-s.una, maxSegment))
	case s.fin && s.nxt > end:
		s.sent(end, 0)
	default: // the window is closed: has it been opened?
		s.send(segment{seq: s.una, probe: true})
	}
}

// armTimer sets the time of the next repetition.
func (s *socket) armTimer() {
	at := s.host.lan.now() + int64(s.rto())
	if s.userTime > 0 && s.state == established {
		at = min(at, max(s.since+int64(s.userTime), s.host.lan.now()+1))
	}
	s.host.lan.reschedule(&s.timer, at)
}

// timeout is called when an acknowledgement was not received in time, and when a
// state is over that lasts for a while.
func (s *socket) timeout() {
	waited := time.Duration(s.host.lan.now() - s.since)
	switch s.state {
	case closed:
		return
	case timeWait:
		s.vanish()
		return
	case synSent:
		if waited >= synTime {
			s.abort(syscall.ETIMEDOUT)
			return
		}
		s.backoff++
		s.send(segment{syn: true})
	case synReceived:
		if waited >= synTime/2 {
			s.vanish()
			return
		}
		s.backoff++
		s.send(segment{syn: true})
	default:
		if s.since == 0 { // FIN-WAIT-2 of a connection that the program has closed
			if s.closed && s.finished {
				s.vanish()
			}
			return
		}
		limit := giveUp
		if s.userTime > 0 {
			limit = s.userTime
		}
		if s.closed {
			limit = min(limit, orphanTime)
		}
		if waited >= limit {
			s.abort(syscall.ETIMEDOUT)
			return
		}
		s.backoff++
		s.recover = s.nxt
		s.dups = 0
		s.repeat()
	}
	s.armTimer()
}

// arrived takes bytes, or the end of the stream.
func (s *socket) arrived(g segment) {
	if s.closed && len(g.data) > 0 && g.seq+uint64(len(g.data)) > s.rcv { // nobody will ever read them
		s.host.refuse(g, s.zone)
		s.abort(syscall.ECONNRESET)
		return
	}
	if s.closed && s.state == timeWait {
		s.send(segment{})
		return
	}
	if g.seq > s.rcv {
		if len(s.early) < 64 {
			s.early = append(s.early, g)
			slices.SortFunc(s.early, func(a, b segment) int { return int(a.seq) - int(b.seq) })
		}
		s.send(segment{})
		return
	}
	s.take(g)
	for len(s.early) > 0 && s.early[0].seq <= s.rcv {
		g := s.early[0]
		s.early = s.early[1:]
		s.take(g)
	}
	s.readable.Broadcast()
	s.send(segment{})
	s.finish()
}

// take takes a segment that is due.
func (s *socket) take(g segment) {
	if s.eof {
		return
	}
	if end := g.seq + uint64(len(g.data)); end > s.rcv {
		s.in = append(s.in, g.data[s.rcv-g.seq:]...)
		s.rcv = end
	}
	if g.fin && g.seq == s.rcv {
		s.eof = true
	}
}

// finish ends the connection when both sides have finished and know it.
func (s *socket) finish() {
	if !s.closed || s.state != established || !s.finished {
		return
	}
	// The other side may not know yet that its end has arrived, or may not
	// have ended.
	if s.eof {
		s.state = timeWait
	}
	s.host.lan.cancel(&s.keep)
	s.host.lan.reschedule(&s.timer, s.host.lan.now()+int64(lastTime))
}

// wake wakes all who wait for the socket.
func (s *socket) wake() {
	s.readable.Broadcast()
	s.writable.Broadcast()
}

// vanish takes the socket out of the table without a word.
func (s *socket) vanish() {
	s.state = closed
	s.host.lan.cancel(&s.timer)
	s.host.lan.cancel(&s.keep)
	if s.host.sockets[s.tuple] == s {
		delete(s.host.sockets, s.tuple)
	}
	s.wake()
}

// abort ends the connection with an error.
func (s *socket) abort(err error) {
	if s.failed == nil {
		s.failed = err
	}
	s.vanish()
}

// reset ends the connection and tells the other side.
func (s *socket) reset() {
	if s.state != closed {
		s.send(segment{rst: true, seq: s.nxt})
		s.vanish()
	}
}

// close is what the system does when the program has closed the socket: bytes that
// it has not read are an error to the other side.
func (s *socket) close() {
	switch {
	case s.state == closed:
	case s.state == synSent:
		s.vanish()
	case len(s.in) > 0, s.abrupt:
		s.reset()
	default:
		s.fin = true
		s.pump()
		s.finish()
	}
}

// armKeep sets the time at which the other side is asked whether it is there.
func (s *socket) armKeep() {
	if s.keepIdle <= 0 || s.state != established {
		s.host.lan.cancel(&s.keep)
		return
	}
	wait := s.keepIdle
	if s.probes > 0 {
		wait = s.keepEvery
		s.host.lan.reschedule(&s.keep, s.host.lan.now()+int64(wait))
		return
	}
	s.host.lan.reschedule(&s.keep, max(s.heard+int64(wait), s.host.lan.now()+1))
}

func (s *socket) keepAlive() {
	idle := time.Duration(s.host.lan.now() - s.heard)
	switch {
	case s.state != established:
		return
	case idle < s.keepIdle || s.since != 0: // something was heard, or is waited for
		if s.since != 0 {
			s.host.lan.reschedule(&s.keep, s.host.lan.now()+int64(s.keepIdle))
			return
		}
	case s.userTime > 0 && s.probes > 0 && idle >= s.userTime+s.keepEvery, s.userTime == 0 && s.probes >= s.keepCount:
		s.abort(syscall.ETIMEDOUT)
		return
	default:
		s.probes++
		s.send(segment{seq: s.nxt, probe: true})
	}
	s.armKeep()
}
