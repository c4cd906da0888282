package mesh

import (
	"net/netip"
	"time"

	"example.com/tcpnet/discovery"
	"example.com/tcpnet/internal/link"
)

// How nodes that can reach one other find all (PROTOCOL.md section 8).
const (
	askAfter = time.Second            // a digest has to differ for this long, and the own not to change
	askGap   = 500 * time.Millisecond // between two questions of this node

	// leftGrace is how long after a goodbye, and the time-out for those who did
	// not hear it, a peer that others still see is taken to be back.
	leftGrace = 5 * time.Second
)

// gotDigest takes what a peer sums up of its view.
func (c *core) gotDigest(now time.Time, s *session, d link.Digest) {
	p := s.peer
	if c.leaving || !s.adopted || p.sess != s {
		return
	}
	if d != p.digest {
		p.digest = d
		// Its view has changed. If someone is missed here, it may be that it
		// has just found them.
		c.retryMissing(now)
	}
	if d == c.digest {
		p.askAt, p.askAgain = time.Time{}, time.Time{}
	} else if d == p.asked {
		p.askAt = p.askAgain
	} else if p.askAt.IsZero() && !p.asking {
		p.askAt = now.Add(askAfter)
		c.at(p.askAt)
	}
}

// ask asks a peer whose view differs for what it sees, one at a time: the answer
// of the first may make the others needless.
func (c *core) ask(now time.Time) {
	if c.leaving || now.Before(c.askNext) {
		return
	}
	quiet := c.toggled.Add(askAfter)
	var next *peer
	for _, p := range c.peers {
		if p.sess == nil || p.askAt.IsZero() || p.askAt.After(now) {
			continue
		}
		if p.sess.seed == nil && p.digest == c.digest {
			p.askAt = time.Time{}
		} else if p.sess.seed == nil && now.Before(quiet) {
			p.askAt = quiet // what is missing may be on its way
		} else if next == nil || p.askAt.Before(next.askAt) || p.askAt.Equal(next.askAt) && p.id.Compare(next.id) < 0 {
			next = p
		}
	}
	if next == nil {
		return
	}
	next.askAt, next.askAgain, next.asked, next.asking, next.sees = time.Time{}, time.Time{}, next.digest, true, nil
	c.askNext = now.Add(askGap)
	c.fx.send(next.sess.id, link.AppendAsk(nil))
}

// gotAsk answers with all peers that this node has a link to.
func (c *core) gotAsk(id link.LinkID) {
	s := c.sessions[id]
	if s == nil || !s.adopted {
		return
	}
	var entries []link.Entry
	for _, p := range c.everyone() {
		if p.sess != nil && p != s.peer {
			entries = append(entries, link.Entry{ID: p.id, Addrs: tellable(p.addrs, s.remote.Addr())})
		}
	}
	c.fx.send(id, link.AppendPeers(nil, entries))
}

// tellable returns the addresses worth telling to a peer at to: loopback only to
// the same machine, and none with a zone, which means nothing elsewhere.
func tellable(addrs []netip.AddrPort, to netip.Addr) (out []netip.AddrPort) {
	for _, a := range addrs {
		if !a.Addr().IsLoopback() || to.IsLoopback() {
			out = append(out, netip.AddrPortFrom(a.Addr().WithZone(""), a.Port()))
		}
	}
	return out
}

// gotPeers takes an answer to ask, or a part of one.
func (c *core) gotPeers(now time.Time, id link.LinkID, entries []link.Entry, more bool) {
	s := c.sessions[id]
	if s == nil || !s.adopted || s.departing {
		return
	}
	p := s.peer
	for _, e := range entries[:min(len(entries), maxPeers)] {
		if p.asking && len(p.sees) < maxSeesPeers {
			p.sees = append(p.sees, e.ID)
		}
		if q := c.peers[e.ID]; q != nil && q.sess != nil {
			continue
		}
		if e.ID == c.id && !c.alien(e.Addrs) {
			continue
		}
		c.found(now, discovery.Candidate{
			ID:     string(e.ID),
			Addrs:  receivable(e.Addrs, s.remote.Addr()),
			Source: "peer " + string(p.id),
		})
		c.backAgain(now, p, e.ID)
	}
	if !more {
		p.asking = false
	}
}

// backAgain takes word of a peer, from another, that said goodbye and was not heard of
// since. If it was a moment ago, the other may not have heard it yet, and is asked
// once more later. Else it is there again and may not be able to dial us.
func (c *core) backAgain(now time.Time, from *peer, id link.ID) {
	q := c.peers[id]
	if q == nil || !q.left || q.sess != nil || len(q.addrs) == 0 {
		return
	}
	// By then the other has noticed, if only by its own time-out.
	if heard := q.dial.since.Add(c.timeout + leftGrace); now.Before(heard) {
		from.askAgain = later(from.askAgain, heard)
		from.askAt = from.askAgain
		c.at(from.askAt)
		return
	}
	// If it is not there after all, left makes this attempt the only one.
	c.plan(now, &q.dial, graceLarger, true)
}

// alien reports whether the addresses said to be this node's hint at another node
// with its ID: it has not reached itself at any of them.
func (c *core) alien(addrs []netip.AddrPort) bool {
	for _, a := range addrs {
		if c.own[a] {
			return false
		}
	}
	return len(addrs) > 0
}

// receivable returns the addresses that mean something here: link-local ones get
// the zone of the link they were told over.
func receivable(addrs []netip.AddrPort, from netip.Addr) (out []netip.AddrPort) {
	for _, a := range addrs {
		ip := a.Addr()
		switch {
		case ip.Is6() && ip.IsLinkLocalUnicast():
			if from.Zone() == "" {
				continue
			}
			ip = ip.WithZone(from.Zone())
		case ip.IsLoopback() && !from.IsLoopback():
			continue
		}
		out = append(out, netip.AddrPortFrom(ip, a.Port()))
	}
	return out
}
