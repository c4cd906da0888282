package mesh

import (
	"net/netip"
	"slices"
	"time"

	"example.com/tcpnet/internal/link"
)

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
	if s := c.sessions[id]; s != nil && s.adopted {
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
	c.fx.sampled(rtt)
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
	clear(c.own) // another machine may have got an address of ours
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
		if p.missing(now) && !p.dial.dialing {
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
