package mesh

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"example.com/tcpnet/discovery"
	"example.com/tcpnet/internal/link"
)

// core is everything a node decides: whom to dial, which link survives, who is
// alive, when a connection is opened. It is told what happened and when, and acts
// through effects; it has no goroutine, no socket and no clock, and is guarded by
// Mesh.mu. A test explores it exhaustively.
type core struct {
	id       link.ID
	inc      link.Incarnation
	interval time.Duration // of PING
	timeout  time.Duration // of a silent link
	dials    int           // attempts at once, at most
	rnd      *rand.Rand
	fx       effects

	peers    map[link.ID]*peer
	seeds    []*seed
	sessions map[link.LinkID]*session
	own      map[netip.AddrPort]bool // where the node has reached itself
	digest   link.Digest
	toggled  time.Time // when digest changed last
	seq      uint64    // of COMMIT
	dialing  int       // attempts under way
	retrying int       // of these, at targets that failed before
	targets  targets
	starved  bool // an attempt that is due waits for room
	askNext  time.Time
	leaving  bool

	wakeDial time.Time // when pump wants to be called; zero: never
	wake     time.Time // when tick wants to be called; zero: never
}

// effects is how core acts. The methods do not block and do not call back.
type effects interface {
	// send queues frames on a link.
	send(id link.LinkID, frames []byte)
	// hello queues this node's HELLO on a link.
	hello(id link.LinkID)
	// admit lifts the limits on a stranger from a link.
	admit(id link.LinkID)
	// end closes a link once what was sent is out.
	end(id link.LinkID)
	// dial makes an attempt at a peer, where it is to be tried, or a seed, whose outcome is a HELLO or a
	// call of dialFailed.
	dial(p *peer, s *seed)
	// openConn dials the connection that is due on a session that this side
	// dialled: connUp or connFailed follows.
	openConn(s *session)
	// expect makes the token of the connection that is due on a session that
	// the other side dialled known: connUp may follow.
	expect(s *session)
	// unexpect takes it back.
	unexpect(s *session)
	// down tells the program that a session's open connection has ended.
	down(s *session, cause error)
	// reject tells the program of a peer that was not connected to.
	reject(r Rejection)
	// reconfirm tells discovery that nobody answered at a candidate.
	reconfirm(id link.ID)
	// random returns a random number that nobody can guess.
	random() uint64
}

// newCore returns a core that knows nobody.
func newCore(id link.ID, inc link.Incarnation, fx effects) *core {
	c := &core{
		id:       id,
		inc:      inc,
		fx:       fx,
		peers:    make(map[link.ID]*peer),
		sessions: make(map[link.LinkID]*session),
		own:      make(map[netip.AddrPort]bool),
	}
	c.digest.Toggle(id.Sum(), true)
	return c
}

// at makes sure that tick is called at t.
func (c *core) at(t time.Time) { earlier(&c.wake, t) }

// atDial makes sure that pump is called at t.
func (c *core) atDial(t time.Time) { earlier(&c.wakeDial, t) }

// earlier brings *wake forward to t, where zero is never.
func earlier(wake *time.Time, t time.Time) {
	if !t.IsZero() && (wake.IsZero() || t.Before(*wake)) {
		*wake = t
	}
}

// due returns when run is to be called next, or zero.
func (c *core) due() time.Time {
	t := c.wake
	earlier(&t, c.wakeDial)
	return t
}

// run does what has become due.
func (c *core) run(now time.Time) {
	if !c.wake.IsZero() && !c.wake.After(now) {
		c.tick(now)
	}
	if !c.wakeDial.IsZero() && !c.wakeDial.After(now) {
		c.pump(now)
	}
}

// everyone returns the peers in the order of their IDs.
func (c *core) everyone() []*peer {
	all := make([]*peer, 0, len(c.peers))
	for _, p := range c.peers {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *peer) int { return a.id.Compare(b.id) })
	return all
}

// get returns the peer with this ID, made if need be.
func (c *core) get(id link.ID, now time.Time) *peer {
	p := c.peers[id]
	if p == nil {
		c.evict()
		p = &peer{id: id, sum: id.Sum(), found: now}
		p.arb.Decides = c.id.Compare(id) < 0
		c.peers[id] = p
	}
	return p
}

// evict makes room for one more peer: of those without a link, the one whose
// attempts have failed for longest goes, strangers before those once met.
func (c *core) evict() {
	if len(c.peers) < maxPeers+len(c.sessions) {
		return
	}
	var worst *peer
	for _, p := range c.peers {
		if p.sess != nil || p.dial.dialing || c.contested(p) {
			continue
		}
		if worst == nil || (worst.met && !p.met) || (worst.met == p.met && p.found.Before(worst.found)) {
			worst = p
		}
	}
	if worst != nil {
		delete(c.peers, worst.id)
	}
}

// contested reports whether a link to p is in its handshake.
func (c *core) contested(p *peer) bool {
	for _, s := range c.sessions {
		if s.peer == p {
			return true
		}
	}
	return false
}

// --- discovery and dialling ---

// found takes a candidate from discovery.
func (c *core) found(now time.Time, cand discovery.Candidate) {
	id := link.ID(cand.ID)
	addrs := slices.DeleteFunc(slices.Clone(cand.Addrs), func(a netip.AddrPort) bool { return c.own[a] })
	if c.leaving || len(addrs) == 0 {
		return
	}
	p := c.get(id, now)
	if p.source == "" {
		p.source = cand.Source
	}
	p.found = now
	fresh := p.learn(addrs)
	if fresh {
		c.disown(p, addrs)
	}
	if p.sess != nil {
		if fresh && cand.Announced { // it may have come back at another address
			c.ping(now, p.sess)
		}
		return
	}
	delay := time.Duration(0)
	if cand.Announced || fresh {
		// Where it was missed before, it is worth while to try again.
		p.dial.reset()
		p.left = false
	} else if p.left {
		return
	}
	if !cand.Announced {
		if delay = graceSmaller; !p.arb.Decides {
			delay = graceLarger
		}
	}
	c.plan(now, &p.dial, delay, false)
}

// disown takes addresses away from peers that are missed: they have a new owner.
func (c *core) disown(owner *peer, addrs []netip.AddrPort) {
	for _, p := range c.peers {
		if p != owner && p.sess == nil && p.met {
			for _, a := range addrs {
				p.unlearn(a)
			}
		}
	}
}

// plan brings the next attempt of d forward to delay from now, but no nearer to
// the last than a target that was never met is owed.
func (c *core) plan(now time.Time, d *schedule, delay time.Duration, met bool) {
	at := now.Add(delay)
	if earliest := d.last.Add(strangerGap); !met && !d.last.IsZero() && at.Before(earliest) {
		at = earliest
	}
	d.plan(at)
	c.atDial(d.due)
}

// addSeed begins to dial an address without an ID.
func (c *core) addSeed(now time.Time, text string) {
	s := &seed{text: text}
	c.seeds = append(c.seeds, s)
	c.plan(now, &s.dial, 0, true)
}

// pump starts the attempts that are due, as many as there is room for: those at
// machines that few others are under way to first, then those that have not
// failed; no more than half of the room is for the others, and three quarters for
// one machine. So one that is said to have a thousand nodes, and keeps whoever
// dials waiting, does not keep the others from being dialled.
func (c *core) pump(now time.Time) {
	c.wakeDial, c.starved = time.Time{}, false
	if c.leaving {
		return
	}
	for _, s := range c.seeds {
		if c.ready(now, &s.dial) {
			c.start(now, &s.dial)
			c.fx.dial(nil, s)
		}
	}
	var due []*peer
	for _, p := range c.peers {
		if p.sess == nil && !p.dial.due.IsZero() && !p.dial.dialing {
			if p.dial.due.After(now) {
				c.atDial(p.dial.due)
			} else {
				due = append(due, p)
			}
		}
	}
	if len(due) == 0 {
		return
	}
	busy := make(map[netip.Addr]int) // attempts under way, by the machine dialled
	for _, p := range c.peers {
		if p.dial.dialing {
			busy[p.machine()]++
		}
	}
	slices.SortFunc(due, func(a, b *peer) int {
		return cmp.Or(
			cmp.Compare(busy[a.machine()], busy[b.machine()]),
			cmp.Compare(a.dial.tries, b.dial.tries),
			a.dial.due.Compare(b.dial.due),
			a.id.Compare(b.id),
		)
	})
	for _, p := range due {
		m := p.machine()
		if busy[m] >= max(c.dials*3/4, 1) {
			c.starved = true
			continue
		}
		if !c.ready(now, &p.dial) {
			continue
		}
		p.trying = p.addrs
		if !p.met {
			var again time.Time
			if p.trying, again = c.targets.take(now, p.addrs); len(p.trying) == 0 {
				p.dial.due = again
				c.atDial(again)
				continue
			}
		}
		busy[m]++
		c.start(now, &p.dial)
		c.fx.dial(p, nil)
	}
}

// ready reports whether d is due and there is room for it.
func (c *core) ready(now time.Time, d *schedule) bool {
	if d.dialing || d.due.IsZero() {
		return false
	}
	if d.due.After(now) {
		c.atDial(d.due)
		return false
	}
	if c.dialing >= c.dials || d.tries > 0 && c.retrying >= max(c.dials/2, 1) {
		c.starved = true
		return false
	}
	return true
}

func (c *core) start(now time.Time, d *schedule) {
	c.dialing++
	if d.retry = d.tries > 0; d.retry {
		c.retrying++
	}
	d.start(now)
}

// done ends an attempt and makes room for the next.
func (c *core) done(now time.Time, d *schedule) {
	c.dialing--
	if d.retry {
		c.retrying--
	}
	d.dialing = false
	if c.starved {
		c.atDial(now)
	}
}

// dialFailed says that an attempt of fx.dial has ended without a link; code is
// that of the REJECT, if there was one.
func (c *core) dialFailed(now time.Time, p *peer, s *seed, code link.Code, err error) {
	if s != nil {
		c.report(Peer{}, s.err, err)
		s.err = err
		c.done(now, &s.dial)
		c.missed(now, &s.dial, code)
		return
	}
	c.report(Peer{ID: p.id}, p.lastErr, err)
	p.lastErr = err
	c.done(now, &p.dial)
	switch {
	case p.sess != nil || p.left:
		p.dial.stop()
	case p.id == c.id && code == 0:
		// Nobody is where another node with the own ID was said to be.
		delete(c.peers, p.id)
	case len(p.addrs) == 0 && !c.contested(p):
		delete(c.peers, p.id)
	default:
		if p.dial.tries == 0 {
			c.fx.reconfirm(p.id)
		}
		c.missed(now, &p.dial, code)
		if !p.met && code == 0 {
			p.dial.postpone(p.dial.last.Add(strangerGap))
		}
	}
}

// report tells the program why an attempt has failed, if there was an answer that
// it should know of and has not been told of before.
func (c *core) report(who Peer, before, err error) {
	var a, b *answer
	if !errors.As(err, &a) || errors.As(before, &b) && b.err.Error() == a.err.Error() {
		return
	}
	switch a.code {
	case link.CodeSelf, link.CodeDuplicate, link.CodeWrongNode, link.CodeBusy, link.CodeLeaving:
	default:
		c.fx.reject(Rejection{Peer: who, Err: err})
	}
}

// missed plans the attempt after one that failed, or was answered with code.
func (c *core) missed(now time.Time, d *schedule, code link.Code) {
	if c.leaving {
		d.stop()
		return
	}
	d.failed(now, c.rnd)
	c.postpone(now, d, code)
	c.atDial(d.due)
}

// postpone puts an attempt off where the answer to the last says that coming again
// soon is of no use.
func (c *core) postpone(now time.Time, d *schedule, code link.Code) {
	switch code {
	case link.CodeRefused, link.CodeDuplicateID, link.CodeVersion, link.CodeWrongName, link.CodeSelf:
		d.postpone(now.Add(retryCap/2 + time.Duration(c.rnd.Int64N(int64(retryCap/2)))))
	}
}

// reachedSelf says that the address of a peer or seed is the node's own.
func (c *core) reachedSelf(a netip.AddrPort, p *peer, s *seed) {
	if len(c.own) < maxOwnAddrs {
		c.own[a] = true
	}
	if p != nil {
		p.unlearn(a)
	}
	if s != nil {
		s.id = c.id
	}
}

// --- the handshake ---

// hello takes a HELLO that passed the checks of PROTOCOL.md section 5.1 and that
// the program has nothing against. sess has not been shown to core before.
func (c *core) hello(now time.Time, s *session, attempt *schedule) {
	p := c.get(s.hello.ID, now)
	s.peer, s.attempt, s.since = p, attempt, now
	if p.source == "" {
		p.source = "its own call"
	}
	if s.seed != nil {
		s.seed.id, s.seed.err = p.id, nil
	}
	c.sessions[s.id] = s
	if c.leaving {
		c.do(now, p, []link.Action{{Do: link.SendReject, Link: s.id, Code: link.CodeLeaving}})
		return
	}
	c.do(now, p, p.arb.Hello(s.id, s.dialled, s.hello.Incarnation))
}

// commit takes a COMMIT.
func (c *core) commit(now time.Time, id link.LinkID, m link.Commit) {
	if s := c.sessions[id]; s != nil && !s.adopted {
		s.secret = m.Secret
		c.do(now, s.peer, s.peer.arb.Commit(id, m.Seq))
	}
}

// do carries out what the arbiter of p decided.
func (c *core) do(now time.Time, p *peer, actions []link.Action) {
	for _, a := range actions {
		s := c.sessions[a.Link]
		if s == nil {
			continue
		}
		switch a.Do {
		case link.SendHello:
			c.fx.hello(s.id)
		case link.SendCommit:
			c.seq++
			s.secret = link.NewSecret()
			c.fx.send(s.id, link.AppendCommit(nil, link.Commit{Seq: c.seq, Secret: s.secret}))
		case link.Adopt:
			c.adopt(now, s)
		case link.Probe:
			c.startProbe(now, s)
		case link.SendReject:
			if a.Code == link.CodeDuplicateID {
				c.duplicateID(now, s)
			}
			c.fx.send(s.id, link.AppendReject(nil, link.Reject{Code: a.Code}))
			c.fx.end(s.id)
			c.forget(now, s, a.Code)
		case link.Drop:
			cause := ErrTimeout
			if a.Code == link.CodeReplaced {
				cause = ErrReplaced
			}
			for _, w := range c.sessions { // another incarnation waits for its place
				if w.peer == p && w != s && w.hello.Incarnation != s.hello.Incarnation {
					cause = ErrRestarted
				}
			}
			c.fx.send(s.id, link.AppendGoodbye(nil, link.Goodbye{Code: a.Code}))
			c.drop(now, s, cause)
			c.fx.end(s.id)
			delete(c.sessions, s.id)
		}
	}
}

// adopt makes s the link to its peer.
func (c *core) adopt(now time.Time, s *session) {
	p := s.peer
	s.adopted, s.since = true, now
	c.fx.admit(s.id)
	s.live = link.Liveness{Interval: c.interval, Timeout: c.timeout}
	s.live.Heard(now)
	c.at(s.live.Due().Add(coalesce))
	back := p.met && !p.left
	if s.dialled {
		p.prefer(s.remote)
	}
	if d := s.attempt; d != nil {
		s.attempt = nil
		c.done(now, d)
		d.stop()
	}
	p.sess, p.met, p.left, p.lastErr = s, true, false, nil
	p.dial.stop()
	p.learn(s.hello.Addrs)
	p.digest, p.sees, p.asked, p.askAt, p.asking = s.hello.Digest, nil, link.Digest{}, time.Time{}, false
	c.toggle(now, p, true)
	if s.seed != nil {
		// There may be no other way to hear of the rest of the cluster.
		p.askAt = now
		c.at(now)
	}
	if back {
		c.retryMissing(now)
	}
	s.number, s.fails = 1, 0
	c.openNext(now, s, 0)
}

// toggle takes a peer into the digest or out of it.
func (c *core) toggle(now time.Time, p *peer, in bool) {
	c.digest.Toggle(p.sum, in)
	c.toggled = now
}

// retryMissing brings the attempts at all that are missed forward: one who was
// missed has come back, perhaps not alone.
func (c *core) retryMissing(now time.Time) {
	if len(c.peers) < int(c.digest.Count) { // all are linked
		return
	}
	for _, p := range c.peers {
		if p.sess == nil && p.met && !p.left && !p.dial.dialing && len(p.addrs) > 0 {
			p.dial.tries = 0
			c.plan(now, &p.dial, 0, false) // not more than once a second
		}
	}
}

// forget ends a session that was not adopted, for the reason in code.
func (c *core) forget(now time.Time, s *session, code link.Code) {
	delete(c.sessions, s.id)
	p := s.peer
	if d := s.attempt; d != nil {
		s.attempt = nil
		c.done(now, d)
		if p.sess != nil { // it led to somebody we are linked with
			d.stop()
		} else {
			c.missed(now, d, code)
		}
	}
	c.do(now, p, p.arb.Closed(s.id))
	c.wanted(now, p)
}

// wanted plans an attempt at a peer to which there is no link, and at the seeds
// that led to it, if none is planned.
func (c *core) wanted(now time.Time, p *peer) {
	if p.sess != nil || c.leaving {
		return
	}
	for _, s := range c.seeds {
		if s.id == p.id && !s.dial.dialing && s.dial.due.IsZero() {
			c.plan(now, &s.dial, c.about(retryFirst), true)
		}
	}
	if !p.left && !p.dial.dialing && p.dial.due.IsZero() && len(p.addrs) > 0 {
		c.plan(now, &p.dial, c.about(min(retryFirst<<min(p.flaps, 10), retryCap)), true)
	}
}

// about returns a random time from half of d to d.
func (c *core) about(d time.Duration) time.Duration {
	return d/2 + time.Duration(c.rnd.Int64N(int64(d/2)+1))
}

// rejected takes a REJECT on a link whose HELLOs were exchanged.
func (c *core) rejected(now time.Time, id link.LinkID, m link.Reject) {
	s := c.sessions[id]
	if s == nil {
		return
	}
	s.peer.lastErr = rejectError(m)
	if m.Code == link.CodeDuplicateID || m.Code == link.CodeRefused {
		c.fx.reject(Rejection{Peer: peerInfo(s), Err: s.peer.lastErr})
	}
	if s.adopted { // the other side would not have it after all
		p := s.peer
		c.fx.end(id)
		c.closed(now, id, ErrReset)
		c.postpone(now, &p.dial, m.Code)
		return
	}
	if m.Code == link.CodeLeaving {
		s.peer.left = s.peer.sess == nil
	}
	c.fx.end(id)
	c.forget(now, s, m.Code)
}

// duplicateID tells the program, and the node that has the ID, that another
// living node uses it.
func (c *core) duplicateID(now time.Time, s *session) {
	c.fx.reject(Rejection{Peer: peerInfo(s), Err: ErrDuplicateID})
	if have := s.peer.sess; have != nil {
		// Told its own ID at an address that is not its own, it looks there
		// and finds out.
		c.fx.send(have.id, link.AppendPeers(nil, []link.Entry{{ID: s.peer.id, Addrs: s.hello.Addrs}}))
	}
}

// closed says that a link has ended, whoever ended it; cause is why if nothing
// better is known.
func (c *core) closed(now time.Time, id link.LinkID, cause error) {
	s := c.sessions[id]
	switch {
	case s == nil:
	case s.departing:
		delete(c.sessions, id)
	case !s.adopted:
		c.forget(now, s, 0)
	default:
		p := s.peer
		switch {
		case c.leaving:
			cause = ErrClosed
		case p.arb.Restarted():
			cause = ErrRestarted
		}
		c.drop(now, s, cause)
		delete(c.sessions, id)
		c.do(now, p, p.arb.Closed(id))
		c.wanted(now, p)
	}
}

// drop takes the link from its peer and ends its connection.
func (c *core) drop(now time.Time, s *session, cause error) {
	p := s.peer
	c.toggle(now, p, false)
	p.sess, p.askAt, p.asking = nil, time.Time{}, false
	p.dial.since = now
	p.lastErr = cause
	if p.flaps++; now.Sub(s.since) > steady {
		p.flaps = 0
	}
	if s.state == connOpen {
		c.fx.down(s, cause)
	}
	s.state, s.redial = connWaiting, time.Time{}
	c.fx.unexpect(s)
}

// --- liveness ---

// heard says that something came in on a link.
func (c *core) heard(now time.Time, id link.LinkID) {
	if s := c.sessions[id]; s != nil && s.adopted {
		s.live.Heard(now)
	}
}

// ping asks the other end of a link for a sign of life.
func (c *core) ping(now time.Time, s *session) {
	s.nonce = c.fx.random()
	s.pinged = now
	c.fx.send(s.id, link.AppendPing(nil, link.FramePing, link.Ping{Nonce: s.nonce, Digest: c.digest}))
}

// The time that a probe waits (PROTOCOL.md section 5.2): long enough for the kernel
// to repeat what is lost, and longer on a link that is hardly there yet, because a
// second one made at the same time is then the likelier reason for the question.
const (
	probeTime = time.Second
	probeNew  = 3 * time.Second // since the link was committed
)

func (c *core) startProbe(now time.Time, s *session) {
	c.ping(now, s)
	s.probing = s.nonce
	s.probe = now.Add(probeTime)
	if !s.peer.arb.Restarted() {
		s.probe = later(s.probe, s.since.Add(probeNew))
	}
	c.at(s.probe)
}

// gotPing takes a PING and answers it.
func (c *core) gotPing(now time.Time, id link.LinkID, m link.Ping) {
	if s := c.sessions[id]; s != nil {
		c.fx.send(id, link.AppendPing(nil, link.FramePong, link.Ping{Nonce: m.Nonce, Digest: c.digest}))
		c.gotDigest(now, s, m.Digest)
	}
}

// gotPong takes a PONG.
func (c *core) gotPong(now time.Time, id link.LinkID, m link.Ping) {
	s := c.sessions[id]
	if s == nil || !s.adopted {
		return
	}
	if m.Nonce == s.nonce && !s.pinged.IsZero() {
		c.sample(now, s, now.Sub(s.pinged))
		s.pinged = time.Time{}
	}
	if !s.probe.IsZero() && m.Nonce == s.probing {
		c.answered(now, s)
	}
	c.gotDigest(now, s, m.Digest)
}

// sample takes a measured round trip into the smoothed one (RFC 6298 section 2).
func (c *core) sample(now time.Time, s *session, rtt time.Duration) {
	s.sampled = now
	if s.rtt == 0 {
		s.rtt = rtt
	} else {
		s.rtt += (rtt - s.rtt) / 8
	}
}

func (c *core) answered(now time.Time, s *session) {
	s.probe = time.Time{}
	c.do(now, s.peer, s.peer.arb.Answered())
}

// unanswered gives up a link whose probe was not answered.
func (c *core) unanswered(now time.Time, s *session) {
	s.probe = time.Time{}
	p := s.peer
	if p.sess == s && p.arb.Probing() {
		c.do(now, p, p.arb.Unanswered())
	} else {
		c.giveUp(now, s)
	}
	c.wanted(now, p)
}

// giveUp ends a link on which nothing was heard for too long.
func (c *core) giveUp(now time.Time, s *session) {
	c.fx.send(s.id, link.AppendGoodbye(nil, link.Goodbye{Code: link.CodeTimeout}))
	c.fx.end(s.id)
	c.closed(now, s.id, ErrTimeout)
}

// networkChanged looks after all links, and at all who are missed, at once. gone
// tells which of the machine's addresses exist no longer.
func (c *core) networkChanged(now time.Time, gone func(netip.Addr) bool) {
	for _, s := range c.sorted() {
		if !s.adopted || s.departing {
			continue
		}
		if gone(s.local.Addr()) && s.probe.IsZero() {
			c.startProbe(now, s)
			s.probe = now.Add(probeTime)
			c.at(s.probe)
		} else {
			c.ping(now, s)
		}
	}
	for _, p := range c.everyone() {
		if p.sess == nil && !p.left && !p.dial.dialing && len(p.addrs) > 0 {
			p.dial.reset()
			c.plan(now, &p.dial, c.about(100*time.Millisecond), false)
		}
	}
	for _, s := range c.seeds {
		if s.dial.tries > 0 && !s.dial.dialing {
			s.dial.reset()
			c.plan(now, &s.dial, 0, true)
		}
	}
}

// sorted returns the sessions in the order in which they came.
func (c *core) sorted() []*session {
	all := make([]*session, 0, len(c.sessions))
	for _, s := range c.sessions {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *session) int { return int(a.id) - int(b.id) })
	return all
}

// --- leaving ---

// goodbye takes a GOODBYE.
func (c *core) goodbye(now time.Time, id link.LinkID, m link.Goodbye) {
	s := c.sessions[id]
	if s == nil {
		return
	}
	if !s.adopted {
		c.fx.end(id)
		c.forget(now, s, m.Code)
		return
	}
	switch m.Code {
	case link.CodeLeaving, link.CodeClosed:
		p := s.peer
		c.forgetLeft(now)
		p.left = true
		p.dial.stop()
		open := s.state == connOpen
		c.drop(now, s, ErrLeft)
		if m.Code == link.CodeLeaving && open {
			s.departing = true // the link stays until the program is done
		} else {
			delete(c.sessions, id)
			c.fx.end(id)
		}
		c.do(now, p, p.arb.Closed(id))
	default:
		c.fx.end(id)
		c.closed(now, id, goodbyeError(m))
	}
}

// rememberLeft is how long a peer that said goodbye is remembered, so that others
// who have not heard it yet do not make us dial it.
const rememberLeft = 5 * time.Minute

// forgetLeft forgets the peers that left a while ago: with random IDs none of them
// comes back.
func (c *core) forgetLeft(now time.Time) {
	for _, p := range c.peers {
		if p.left && p.sess == nil && !p.dial.dialing && now.Sub(p.dial.since) > rememberLeft && !c.contested(p) {
			delete(c.peers, p.id)
		}
	}
}

// leave says goodbye to all and takes nobody any more.
func (c *core) leave(now time.Time, code link.Code) {
	c.leaving = true
	for _, s := range c.sorted() {
		if s.adopted && !s.departing {
			c.fx.send(s.id, link.AppendGoodbye(nil, link.Goodbye{Code: code}))
			c.ping(now, s) // its answer says that the goodbye was heard
		} else if !s.adopted {
			c.fx.send(s.id, link.AppendReject(nil, link.Reject{Code: link.CodeLeaving}))
			c.fx.end(s.id)
			c.forget(now, s, link.CodeLeaving)
		}
	}
}

// heeded reports whether all peers have heard the goodbye.
func (c *core) heeded() bool {
	for _, s := range c.sessions {
		if s.adopted && !s.departing && !s.pinged.IsZero() {
			return false
		}
	}
	return true
}

// --- connections ---

// openNext opens the connection that is due, or lets it be opened, after a while.
func (c *core) openNext(now time.Time, s *session, wait time.Duration) {
	switch {
	case c.leaving:
		s.state = connWaiting
	case !s.dialled:
		s.state = connOpening
		c.fx.expect(s)
	case wait > 0:
		s.state, s.redial = connWaiting, now.Add(wait)
		c.at(s.redial)
	default:
		s.state, s.redial = connOpening, time.Time{}
		c.fx.openConn(s)
	}
}

// connUp says that a socket has become the connection of this number, and reports
// whether it still has a place.
func (c *core) connUp(now time.Time, s *session, number uint64) bool {
	if c.leaving || c.sessions[s.id] != s || s.peer.sess != s || s.number != number || s.state != connOpening {
		return false
	}
	s.state, s.opened, s.fails = connOpen, now, 0
	return true
}

// connFailed says that the connection of this number could not be opened.
func (c *core) connFailed(now time.Time, s *session, number uint64) {
	if c.sessions[s.id] != s || s.number != number || s.state != connOpening {
		return
	}
	s.fails++
	if s.fails >= 3 && s.dialled {
		// The way that this link was made does not carry a connection.
		c.fx.send(s.id, link.AppendGoodbye(nil, link.Goodbye{Code: link.CodeTimeout, Text: "cannot open a connection"}))
		c.fx.end(s.id)
		c.closed(now, s.id, ErrTimeout)
		return
	}
	c.nextConn(now, s)
}

// connEnded says that the program on this side, or the failure of its socket, has
// ended the connection of this number.
func (c *core) connEnded(now time.Time, s *session, number uint64, cause error) {
	if c.sessions[s.id] != s || s.number != number {
		return
	}
	if s.departing {
		delete(c.sessions, s.id)
		c.fx.end(s.id)
		return
	}
	if s.state == connOpen {
		c.fx.down(s, cause)
		c.worn(now, s)
		c.nextConn(now, s)
	}
}

// gotClose takes a CLOSE.
func (c *core) gotClose(now time.Time, id link.LinkID, number uint64) {
	s := c.sessions[id]
	if s == nil || !s.adopted || s.departing || number < s.number {
		return
	}
	if s.state == connOpen {
		c.fx.down(s, ErrClosed)
		c.worn(now, s)
	}
	s.number = number + 1
	c.openNext(now, s, c.connBackoff(s))
}

// worn counts a connection that did not last.
func (c *core) worn(now time.Time, s *session) {
	if s.worn++; now.Sub(s.opened) > steady {
		s.worn = 0
	}
}

// nextConn ends the current number on this side.
func (c *core) nextConn(now time.Time, s *session) {
	c.fx.send(s.id, link.AppendClose(nil, s.number))
	s.number++
	c.openNext(now, s, c.connBackoff(s))
}

func (c *core) connBackoff(s *session) time.Duration {
	return c.about(min(retryFirst<<min(s.fails+s.worn, 10), retryCap))
}

// --- time ---

// coalesce is how much later than due the PINGs of several peers go out together.
const coalesce = 100 * time.Millisecond

// steady is how long a link or connection has to last to count as good: others are
// replaced after a wait that grows with their number.
const steady = 10 * time.Second

// freshRTT is how old a measured round trip may become before it is measured anew.
const freshRTT = time.Minute

// tick does what has become due.
func (c *core) tick(now time.Time) {
	c.wake = time.Time{}
	for _, s := range c.sorted() {
		if c.sessions[s.id] != s {
			continue // an earlier one took it along
		}
		if !s.probe.IsZero() && !s.probe.After(now) {
			if now.Sub(s.probe) > tolerance {
				// This node was not running in time: the answer may lie
				// unread.
				s.probe = now.Add(probeTime)
			} else {
				c.unanswered(now, s)
				continue
			}
		}
		if s.adopted && !s.departing {
			switch s.live.Tick(now) {
			case link.Ask:
				c.ping(now, s)
			case link.Dead:
				c.giveUp(now, s)
				continue
			}
			if now.Sub(s.sampled) > freshRTT && s.pinged.IsZero() && now.Sub(s.since) > time.Second {
				c.ping(now, s)
			}
			if s.state == connWaiting && !s.redial.IsZero() && !s.redial.After(now) {
				c.openNext(now, s, 0)
			}
		}
	}
	c.ask(now)
	c.rearm()
}

// rearm finds out when tick is to be called next.
func (c *core) rearm() {
	for _, s := range c.sessions {
		c.at(s.probe)
		if s.adopted && !s.departing {
			due := s.live.Due()
			if !s.live.Asked() {
				due = due.Add(coalesce)
			}
			c.at(due)
			if s.state == connWaiting {
				c.at(s.redial)
			}
		}
	}
	for _, p := range c.peers {
		if p.sess != nil && !p.askAt.IsZero() {
			c.at(later(p.askAt, c.askNext))
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
