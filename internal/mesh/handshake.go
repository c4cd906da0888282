package mesh

import (
	"errors"
	"time"

	"example.com/tcpnet/internal/link"
)

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
		c.spent(s.seed)
	}
	c.sessions[s.id] = s
	p.links++
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
			c.remove(s)
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
	back := p.met && !p.hasLeft(now)
	if s.dialled {
		p.prefer(s.remote)
	}
	if d := s.attempt; d != nil {
		s.attempt = nil
		c.done(now, d)
		d.stop()
	}
	p.sess, p.met, p.remembered, p.left, p.lastErr = s, true, false, false, nil
	p.dial.stop()
	p.learn(s.hello.Addrs)
	p.leftAt = nil
	p.regain(s)
	p.digest, p.sees, p.asked, p.askAt, p.askAgain, p.asking = s.hello.Digest, nil, link.Digest{}, time.Time{}, time.Time{}, false
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

// complete reports whether there is a link with everybody who is known.
func (c *core) complete() bool { return len(c.peers) < int(c.digest.Count) } // which counts this node

// retryMissing brings the attempts at all that are missed forward: one who was
// missed has come back, perhaps not alone.
func (c *core) retryMissing(now time.Time) {
	if c.complete() {
		return
	}
	for _, p := range c.peers {
		if p.met && p.missing(now) && !p.dial.dialing {
			p.dial.tries = 0
			c.plan(now, &p.dial, 0, false) // not more than once a second
		}
	}
}

// forget ends a session that was not adopted, for the reason in code.
func (c *core) forget(now time.Time, s *session, code link.Code) {
	c.remove(s)
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
	if p.missing(now) && !p.dial.dialing && p.dial.due.IsZero() {
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
		if m.Code == link.CodeLeaving { // it had not got COMMIT, or would say GOODBYE
			c.goodbye(now, id, link.Goodbye{Code: link.CodeClosed})
			return
		}
		p := s.peer
		c.fx.end(id)
		c.closed(now, id, ErrReset)
		c.postpone(now, &p.dial, m.Code)
		return
	}
	if m.Code == link.CodeLeaving {
		s.peer.regain(s)
		c.gone(now, s.peer, s.hello.Addrs)
	}
	c.fx.end(id)
	c.forget(now, s, m.Code)
}

// duplicateID tells the program, and the node that has the ID, that another
// living node uses it.
func (c *core) duplicateID(now time.Time, s *session) {
	if p := s.peer; p.twin.IsZero() || now.Sub(p.twin) >= logEvery {
		p.twin = now
		c.fx.reject(Rejection{Peer: peerInfo(s), Err: ErrDuplicateID})
	}
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
		c.remove(s)
	case !s.adopted:
		c.forget(now, s, 0)
	default:
		p := s.peer
		if p.arb.Restarted() {
			cause = ErrRestarted
		}
		c.drop(now, s, cause)
		c.remove(s)
		c.do(now, p, p.arb.Closed(id))
		c.wanted(now, p)
	}
}

// drop takes the link from its peer and ends its connection.
func (c *core) drop(now time.Time, s *session, cause error) {
	p := s.peer
	c.toggle(now, p, false)
	p.sess, p.askAt, p.askAgain, p.asking = nil, time.Time{}, time.Time{}, false
	s.probe = time.Time{}
	p.dial.since = now
	p.lastErr = cause
	if p.flaps++; now.Sub(s.since) > steady {
		p.flaps = 0
	}
	open := s.state == connOpen
	if open {
		c.fx.down(s, cause)
	}
	// What the other side says of itself is not believed of its streams, unless
	// the connection ends with it: it will end them itself.
	if cause == ErrTimeout || cause == ErrRestarted || open && errors.Is(cause, ErrTimeout) {
		c.fx.lost(s, cause)
	}
	if cause != ErrLeft && cause != ErrReplaced {
		p.lose(now, s)
	}
	s.state, s.redial = connWaiting, time.Time{}
	c.fx.unexpect(s)
}
