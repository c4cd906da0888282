package mesh

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"time"

	"example.com/tcpnet/discovery"
	"example.com/tcpnet/internal/link"
)

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
	p.found, p.remembered = now, false
	moved := !slices.ContainsFunc(p.addrs, func(a netip.AddrPort) bool { return a.Port() == addrs[0].Port() })
	fresh := p.learn(addrs)
	if fresh {
		c.disown(p, addrs)
	}
	if p.sess != nil {
		if moved && cand.Announced {
			c.ping(now, p.sess) // a node has one port: this one may have come back
		}
		return
	}
	if !cand.Announced && p.left && meet(addrs, p.leftAt) {
		return // word of the one that said goodbye, and late
	}
	if cand.Announced || fresh {
		// Where it was missed before, it is worth while to try again.
		p.dial.reset()
		p.left = false
	}
	c.plan(now, &p.dial, c.grace(now, p, cand.Announced), false)
}

// grace returns how long p is given to dial us first.
func (c *core) grace(now time.Time, p *peer, announced bool) time.Duration {
	switch {
	case announced && c.dear && !p.arb.Decides && now.Sub(c.born) < youth:
		return graceDear // it has heard of us as well: both are new
	case announced:
		return 0
	case p.arb.Decides:
		return graceSmaller
	case c.dear:
		return graceDear
	default:
		return graceLarger
	}
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
	c.pumpSeeds(now)
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
		c.spent(s)
		return
	}
	c.report(Peer{ID: p.id}, p.lastErr, err)
	p.lastErr = err
	c.done(now, &p.dial)
	switch {
	case p.sess != nil || p.hasLeft(now):
		p.dial.stop()
	case p.id == c.id && code == 0:
		// Nobody is where another node with the own ID was said to be.
		delete(c.peers, p.id)
	case len(p.addrs) == 0 && p.links == 0:
		delete(c.peers, p.id)
	default:
		if p.dial.tries == 0 {
			c.fx.reconfirm(p.id)
		}
		c.missed(now, &p.dial, code)
		c.rare(now, p)
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
		if a.peer.ID != "" {
			who = a.peer
		} else {
			who.Addr = a.peer.Addr
		}
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
	case link.CodeRefused, link.CodeDuplicateID, link.CodeVersion, link.CodeWrongName, link.CodeSelf,
		link.CodeOpen, link.CodePrivate, link.CodeNoSecret:
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
