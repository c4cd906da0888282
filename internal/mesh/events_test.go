package mesh

import (
	"fmt"
	"net/netip"
	"slices"

	"example.com/tcpnet/internal/link"
)

// An event is one step of a world.
type event struct {
	kind        kind
	host, other uint8
	end         uint8
	sock        link.LinkID
}

type kind uint8

const (
	evFound     kind = iota // discovery tells host of other
	evDial                  // host's attempt at its peer number other is due
	evSeed                  // host's attempt at its seed number other is due
	evDialOut               // a dial gets no answer, or a refusal
	evDeliver               // the next message arrives
	evHandshake             // the time for the handshake is up
	evProbe                 // the time for the answer to a probe is up
	evSilence               // nothing was heard on a link for too long
	evRedial                // the back-off before a connection is over
	evRedeem                // the acceptor of a connection looks at its token
	evEarly                 // the time for a token that nobody knows is up
	evAccept                // the acceptor answers the token
	evAcceptUp              // the acceptor shows it to core
	evOpenOut               // the time for the answer to a token is up
	evNotice                // a program finds its connection broken
	evDone                  // a program closes what ended while the peer was leaving
	evClose                 // a program closes its connection
	evCut                   // a socket carries nothing any more
	evKill                  // a process dies
	evPower                 // a machine dies
	evStart                 // it comes back
	evShutdown              // Shutdown begins
	evExit                  // and ends
	evAbort                 // Close
	evNet                   // the network has changed
	evHedge                 // a second socket is dialled
)

var kindText = [...]string{"learns of", "dials peer", "dials seed", "dial fails", "delivery", "handshake times out", "probe times out",
	"silence times out", "redials", "redeem", "early token times out", "answers token", "takes connection", "open times out",
	"notices broken connection", "program done", "program closes", "CUT", "KILL", "POWER CUT", "start", "SHUTDOWN", "exit", "ABORT", "network change", "dials once more"}

func (e event) String() string {
	return fmt.Sprintf("%c/%d: %s on %d end %d", 'A'+e.host, e.other, kindText[e.kind], e.sock, e.end)
}

// backoff reports whether k is the end of a wait that grows from time to time.
func (k kind) backoff() bool { return k == evDial || k == evSeed || k == evRedial }

// timeout reports whether k is the end of a wait for somebody else.
func (k kind) timeout() bool {
	switch k {
	case evDialOut, evHandshake, evProbe, evEarly, evOpenOut:
		return true
	}
	return false
}

// weight says how far an event may be relied upon.
type weight uint8

const (
	luck weight = iota // may happen or not: faults, and what a program does
	late               // will happen, after a silence of the length of Liveness.Timeout
	sure               // will happen, and soon
)

// events appends all that can happen in w.
func (w *world) events(es []event, ws []weight) ([]event, []weight) {
	add := func(wt weight, k kind, host, other int, s *sock, end int) {
		e := event{kind: k, host: uint8(host), other: uint8(other), end: uint8(end)}
		if s != nil {
			e.sock = s.id
		}
		es, ws = append(es, e), append(ws, wt)
	}
	b := &w.budget
	// unless adds an event that is bound to happen if true is set, and costs
	// budget otherwise.
	unless := func(is bool, k kind, host int, s *sock, end int) {
		if is {
			add(sure, k, host, 0, s, end)
		} else if b.slow > 0 {
			add(luck, k, host, 0, s, end)
		}
	}
	for host, n := range w.nodes {
		switch n.phase {
		case down, off:
			if w.sc.returns {
				add(sure, evStart, host, 0, nil, 0)
			}
			continue
		case leaving:
			add(sure, evExit, host, 0, nil, 0)
		case up:
			if b.shutdowns > 0 {
				add(luck, evShutdown, host, 0, nil, 0)
			}
		}
		if b.aborts > 0 {
			add(luck, evAbort, host, 0, nil, 0)
		}
		if b.kills > 0 && w.sc.mortal(host) {
			add(luck, evKill, host, 0, nil, 0)
		}
		if b.powers > 0 && w.sc.mortal(host) {
			add(luck, evPower, host, 0, nil, 0)
		}
		if b.nets > 0 && n.phase == up {
			add(luck, evNet, host, 0, nil, 0)
			add(luck, evNet, host, 1, nil, 0)
		}
		for other := range w.nodes {
			if n.unknown&(1<<other) != 0 && n.phase == up && w.nodes[other].phase == up {
				add(sure, evFound, host, other, nil, 0)
			}
		}
		if n.phase == up {
			for i, p := range n.core.everyone() {
				if p.sess == nil && !p.dial.due.IsZero() && !p.dial.dialing {
					add(sure, evDial, host, i, nil, 0)
				}
			}
			for i, s := range n.core.seeds {
				if !s.dial.due.IsZero() && !s.dial.dialing {
					add(sure, evSeed, host, i, nil, 0)
				}
			}
		}
		for _, p := range n.ended {
			add(sure, evDone, host, 0, w.get(p.conn), 0)
		}
	}
	for _, s := range w.socks {
		if b.cuts > 0 && !s.lost && s.ends[0].stage != syn && (!s.conn || w.sc.cutConns) {
			add(luck, evCut, 0, 0, s, 0)
		}
		for end, e := range s.ends {
			n := w.nodes[e.host]
			if e.stage == gone {
				continue
			}
			if len(s.q[end]) > 0 && (!s.conn || e.stage != inUse) {
				if !s.conn || end == 0 {
					add(sure, evDeliver, e.host, 0, s, end)
				}
			}
			if b.hedges > 0 && end == 0 && e.stage <= greeting {
				add(luck, evHedge, e.host, 0, s, 0)
			}
			switch {
			case e.stage == syn && !s.conn:
				add(sure, evDialOut, e.host, 0, s, 0)
			case e.stage == syn:
				add(sure, evOpenOut, e.host, 0, s, 0)
			case s.conn:
				w.connEvents(s, end, n, add, unless)
			case e.stage == greeting && end == 0:
				unless(s.isBroken(end) && len(s.q[end]) == 0, evHandshake, e.host, s, end)
			case e.stage == talking:
				sess := n.core.sessions[s.id]
				hopeless := s.isBroken(end)
				if !sess.adopted {
					unless(hopeless && len(s.q[end]) == 0, evHandshake, e.host, s, end)
					continue
				}
				if !sess.probe.IsZero() {
					unless(hopeless, evProbe, e.host, s, end)
				}
				if !sess.departing {
					if hopeless && len(s.q[end]) == 0 {
						add(late, evSilence, e.host, 0, s, end)
					} else if b.slow > 0 {
						add(luck, evSilence, e.host, 0, s, end)
					}
					if sess.state == connWaiting && !sess.redial.IsZero() {
						add(sure, evRedial, e.host, 0, s, end)
					}
				}
			}
		}
	}
	return es, ws
}

// connEvents are those of one end of a connection.
func (w *world) connEvents(s *sock, end int, n *node,
	add func(weight, kind, int, int, *sock, int), unless func(bool, kind, int, *sock, int)) {
	host := s.ends[end].host
	switch stage := s.ends[end].stage; {
	case end == 0 && stage == greeting:
		// The acceptor keeps a token that it does not know for longer than
		// the dialler waits.
		never := s.isBroken(0) && len(s.q[0]) == 0 || s.ends[1].stage == early && !w.explicable(s)
		unless(never, evOpenOut, host, s, 0)
	case stage == greeting:
		if !s.lost {
			add(sure, evRedeem, host, 0, s, 1)
		}
	case stage == early:
		unless(!w.explicable(s), evEarly, host, s, 1)
	case stage == explained:
		add(sure, evAccept, host, 0, s, 1)
	case stage == accepted:
		add(sure, evAcceptUp, host, 0, s, 1)
	case stage == inUse:
		if !slices.ContainsFunc(n.open, func(p program) bool { return p.conn == s.id }) {
			return
		}
		switch {
		case s.reset && s.isBroken(end):
			add(sure, evNotice, host, 0, s, end)
		case s.lost:
			add(late, evNotice, host, 0, s, end)
		case s.isBroken(end):
			add(luck, evNotice, host, 0, s, end)
		}
		if w.budget.closes > 0 {
			add(luck, evClose, host, 0, s, end)
		}
	}
}

// explicable reports whether the token of a connection can become known yet.
func (w *world) explicable(s *sock) bool {
	if s.ends[1].stage == gone || s.lost {
		return false
	}
	sess := w.nodes[s.ends[1].host].core.sessions[s.link]
	return sess != nil && (!sess.adopted || !sess.departing && sess.number <= s.number)
}

// apply returns the world after an event.
func (w *world) apply(e event, wt weight, log func(string, ...any)) *world {
	w = w.copy()
	w.log = log
	defer func() { w.log = nil; w.share() }()
	host := int(e.host)
	s := w.get(e.sock)
	if s == nil || e.kind == evCut || w.nodes[host].phase > leaving {
		w.note("* %v", e)
	} else {
		w.note("* %s: %s, socket %d", w.nodes[host].name(), kindText[e.kind], s.id)
	}
	if wt == luck {
		w.disturbs = w.disturbs || e.kind != evHedge
		switch e.kind {
		case evHandshake, evProbe, evSilence, evEarly, evOpenOut:
			w.budget.slow--
		}
	}
	switch e.kind {
	case evFound:
		w.found(host, int(e.other))
	case evDial:
		w.step(host, func(c *core) {
			c.everyone()[e.other].dial.due = now
			c.wakeDial = now
		})
	case evSeed:
		w.step(host, func(c *core) {
			c.seeds[e.other].dial.due = now
			c.wakeDial = now
		})
	case evDialOut:
		a := w.address(s.ends[1].host, s.ends[1].gen)
		w.shut(s.id, 0, msgFin)
		w.attemptFailed(s, a, 0)
	case evDeliver:
		w.deliver(s.id, int(e.end))
	case evHandshake:
		if s.ends[e.end].stage == talking {
			w.linkLost(s, int(e.end))
		} else {
			w.shut(s.id, 0, msgFin)
			w.attemptFailed(s, w.address(s.ends[1].host, s.ends[1].gen), 0)
		}
	case evProbe:
		w.step(host, func(c *core) {
			c.sessions[s.id].probe = now
			c.wake = now
		})
	case evSilence:
		w.step(host, func(c *core) { c.giveUp(now, c.sessions[s.id]) })
	case evRedial:
		w.step(host, func(c *core) {
			c.sessions[s.id].redial = now
			c.wake = now
		})
	case evRedeem:
		w.redeem(s)
	case evEarly:
		w.shut(s.id, 1, msgFin)
	case evAccept:
		w.mutSock(s.id).ends[1].stage = accepted
		w.put(s.id, 1, msg{t: msgAccepted})
	case evAcceptUp:
		w.connUp(s, 1)
	case evOpenOut:
		w.connFailed(s)
	case evNotice:
		w.step(host, func(c *core) { c.connEnded(now, w.nodes[host].session(s.link), s.number, ErrReset) })
	case evClose:
		w.budget.closes--
		w.step(host, func(c *core) { c.connEnded(now, w.nodes[host].session(s.link), s.number, ErrClosed) })
	case evDone:
		w.done(host, s)
	case evCut:
		w.budget.cuts--
		t := w.mutSock(s.id)
		t.lost, t.q = true, [2][]msg{}
	case evKill:
		w.budget.kills--
		w.quit(host, msgRst, down)
	case evPower:
		w.budget.powers--
		w.quit(host, 0, off)
	case evStart:
		w.start(host, w.nodes[host].gen+1)
		w.plant(host)
	case evShutdown:
		w.budget.shutdowns--
		w.mut(host).phase = leaving
		w.step(host, func(c *core) { c.leave(now, link.CodeLeaving) })
	case evAbort:
		w.budget.aborts--
		w.step(host, func(c *core) { c.leave(now, link.CodeClosed) })
		w.exit(host)
	case evExit:
		w.exit(host)
	case evHedge:
		w.budget.hedges--
		again := &sock{conn: s.conn, seed: s.seed, target: s.target, claimed: s.claimed}
		w.connect(w.nodes[host], again, w.address(s.ends[1].host, s.ends[1].gen))
		if !s.conn && again.ends[1].stage == greeting {
			again.q[1] = []msg{w.helloOf(w.nodes[host], s.target)}
		}
	case evNet:
		w.budget.nets--
		w.step(host, func(c *core) {
			c.networkChanged(now, func(a netip.Addr) bool { return e.other == 1 })
		})
	}
	w.checkPair()
	return w
}

// exit is Mesh.Close after the goodbyes are queued.
func (w *world) exit(host int) {
	w.mut(host).phase = down
	w.step(host, func(c *core) {
		for _, s := range c.sorted() {
			if c.sessions[s.id] == s && !s.departing {
				c.closed(now, s.id, ErrClosed)
			}
		}
	})
	if n := w.nodes[host]; len(n.open) > 0 {
		w.violate("%s has closed, and its program has not been told that its connection ended", n.name())
	}
	w.quit(host, msgFin, down)
}

// done lets a program close a connection that ended while the peer was leaving.
func (w *world) done(host int, s *sock) {
	n := w.mut(host)
	for i, p := range n.ended {
		if s == nil || p.conn == s.id {
			n.ended = slices.Delete(n.ended, i, i+1)
			w.closeProgram(n, p)
			w.step(host, func(c *core) { c.connEnded(now, n.session(p.link), p.number, ErrClosed) })
			return
		}
	}
}
