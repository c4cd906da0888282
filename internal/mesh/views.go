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

	// askedAgo is how long after an answer that named somebody who is missed the
	// same peer is asked again, and askedEach how much longer for each node: the
	// missing one may have moved, and nothing else would tell.
	askedAgo  = 20 * time.Second
	askedEach = time.Second / 2

	// maxHearsay is how many nodes one answer names that others see.
	maxHearsay = 64

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
		p.askAt, p.askAgain, p.asked = time.Time{}, time.Time{}, link.Digest{}
	} else if d == p.asked {
		p.askAt = p.askAgain
	} else if soon := now.Add(askAfter); !p.asking && (p.askAt.IsZero() || soon.Before(p.askAt)) {
		p.askAt = soon
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
		} else if p.digest == p.asked && now.Before(c.askOld) {
			p.askAt = c.askOld // one answer is mostly that of all
		} else if p.sess.seed == nil && now.Before(quiet) {
			p.askAt = quiet // what is missing may be on its way
		} else if next == nil || p.askAt.Before(next.askAt) || p.askAt.Equal(next.askAt) && p.id.Compare(next.id) < 0 {
			next = p
		}
	}
	if next == nil {
		return
	}
	if next.digest == next.asked {
		c.askOld = now.Add(askedAgo)
	}
	next.askAt, next.askAgain, next.asked, next.asking, next.sees = time.Time{}, time.Time{}, next.digest, true, nil
	c.askNext = now.Add(askGap)
	c.fx.send(next.sess.id, link.AppendAsk(nil))
}

// gotAsk answers with all peers that this node has a link to.
func (c *core) gotAsk(now time.Time, id link.LinkID) {
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
	frames := link.AppendPeers(nil, entries)
	if more := c.hearsay(now, s); len(more) > 0 {
		frames = link.AppendHearsay(frames, more)
	}
	c.fx.send(id, frames)
}

// hearsay returns the nodes that a peer of this node sees and this node misses: they
// and whoever asks may have nobody in common. Only what was seen first-hand is passed
// on, and not what is not so any more.
func (c *core) hearsay(now time.Time, to *session) (entries []link.Entry) {
	if c.complete() || now.Before(c.toggled.Add(askAfter)) {
		return nil // nobody is missed, or the links are still being made
	}
	missed := make(map[link.ID]*peer)
	for _, p := range c.peers {
		if p.missing(now) {
			missed[p.id] = p
		}
	}
	for _, q := range c.everyone() {
		if q.sess == nil || q == to.peer || q.digest != q.asked {
			continue
		}
		for _, id := range q.sees {
			p := missed[id]
			if p == nil {
				continue
			}
			delete(missed, id)
			entries = append(entries, link.Entry{ID: id, Addrs: tellable(p.addrs, to.remote.Addr())})
			if len(entries) == maxHearsay {
				return entries
			}
		}
	}
	return entries
}

// tellable returns the addresses worth telling to a peer at to: loopback only to
// the same machine, and none with a zone, which means nothing elsewhere.
func tellable(addrs []netip.AddrPort, to netip.Addr) (out []netip.AddrPort) {
	for _, a := range addrs {
		if !a.Addr().IsLoopback() || to.IsLoopback() {
			out = append(out, zoneless(a))
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
		c.told(now, s, e)
		c.backAgain(now, p, e.ID)
	}
	if !more {
		p.asking = false
	}
}

// gotHearsay takes word of nodes that the peers of a peer see.
func (c *core) gotHearsay(now time.Time, id link.LinkID, entries []link.Entry) {
	s := c.sessions[id]
	if s == nil || !s.adopted || s.departing {
		return
	}
	for _, e := range entries[:min(len(entries), maxHearsay)] {
		if q := c.peers[e.ID]; e.ID != c.id && (q == nil || q.sess == nil) {
			c.told(now, s, e)
		}
	}
}

// told takes word from a peer of a node that is missed.
func (c *core) told(now time.Time, s *session, e link.Entry) {
	c.found(now, discovery.Candidate{
		ID:     string(e.ID),
		Addrs:  receivable(e.Addrs, s.remote.Addr()),
		Source: "peer " + string(s.peer.id),
	})
	if e.ID == c.id {
		return
	}
	p := s.peer
	p.askAgain = later(p.askAgain, now.Add(askedAgo+time.Duration(c.digest.Count)*askedEach))
	if p.digest == p.asked {
		p.askAt = p.askAgain
		c.at(p.askAt)
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
	if heard := q.leftOn.Add(c.timeout + leftGrace); now.Before(heard) {
		from.askAgain = later(from.askAgain, heard)
		from.askAt = from.askAgain
		c.at(from.askAt)
		return
	}
	// If it is not there after all, this attempt is mostly the only one (hasLeft).
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

// zoneless returns an address as it is on every link.
func zoneless(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().WithZone(""), a.Port())
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
