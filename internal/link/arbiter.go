package link

import "slices"

// LinkID names a link within one node. Zero is no link.
type LinkID uint64

// Arbiter decides which of a node's links to one peer survives (PROTOCOL.md
// section 5.2). It is a plain state machine: it is told what has happened and
// returns what to do, in order.
type Arbiter struct {
	Decides bool // this node has the smaller ID

	cur     contender   // the committed link, if cur.id is not zero
	probing bool        // cur has been asked for a sign of life
	waiting []contender // wait for what comes of the probe
	pending []contender // wait for the other side's COMMIT or REJECT
}

// contender is a link whose HELLO has been accepted.
type contender struct {
	id      LinkID
	dialled bool
	inc     Incarnation
	seq     uint64 // of the COMMIT received for it; zero before
}

// Verb is what an Action asks for.
type Verb uint8

// The verbs of an Action.
const (
	SendHello  Verb = iota // send HELLO on the link
	SendCommit             // send COMMIT on the link
	Adopt                  // the link is committed now: it is the one
	SendReject             // send REJECT with the code and close the link
	Probe                  // send PING; call Answered or Unanswered
	Drop                   // the link is not the one any longer: say GOODBYE with the code and close it
)

// Action is one thing to do.
type Action struct {
	Do   Verb
	Link LinkID
	Code Code // for SendReject and Drop
}

// Probing reports whether an answer to a probe is awaited.
func (a *Arbiter) Probing() bool { return a.probing }

// Restarted reports whether another incarnation of the peer waits for the
// committed link to turn out dead.
func (a *Arbiter) Restarted() bool {
	return a.cur.id != 0 && slices.ContainsFunc(a.waiting, func(c contender) bool { return c.inc != a.cur.inc })
}

// Hello says that the peer's HELLO came in on a link and that nothing but the
// choice between links speaks against it.
func (a *Arbiter) Hello(id LinkID, dialled bool, inc Incarnation) []Action {
	return a.consider(nil, contender{id: id, dialled: dialled, inc: inc})
}

func (a *Arbiter) consider(do []Action, c contender) []Action {
	if a.cur.id != 0 && (a.Decides || a.cur.inc != c.inc) {
		return a.contest(do, c)
	}
	if a.Decides {
		if !c.dialled {
			do = append(do, Action{Do: SendHello, Link: c.id})
		}
		a.cur = c
		return append(do, Action{Do: SendCommit, Link: c.id}, Action{Do: Adopt, Link: c.id})
	}
	if c.seq != 0 { // its COMMIT has been waiting with it
		return a.adopt(do, c)
	}
	a.pending = append(a.pending, c)
	if !c.dialled {
		do = append(do, Action{Do: SendHello, Link: c.id})
	}
	return do
}

// contest lets c wait until the committed link has shown whether it lives.
func (a *Arbiter) contest(do []Action, c contender) []Action {
	a.waiting = append(a.waiting, c)
	if !a.probing {
		a.probing = true
		do = append(do, Action{Do: Probe, Link: a.cur.id})
	}
	return do
}

// adopt takes c on the arbiter's word.
func (a *Arbiter) adopt(do []Action, c contender) []Action {
	switch {
	case a.cur.id == 0:
	case a.cur.inc != c.inc:
		return a.contest(do, c)
	case c.seq < a.cur.seq: // overtaken by a later COMMIT
		return append(do, Action{SendReject, c.id, CodeReplaced})
	default:
		do = append(do, Action{Drop, a.cur.id, CodeReplaced})
		a.probing = false
	}
	a.cur = c
	do = append(do, Action{Do: Adopt, Link: c.id})
	return a.settle(do) // whoever waited for the old link has a new one to wait for
}

// Commit says that COMMIT came in on a link.
func (a *Arbiter) Commit(id LinkID, seq uint64) []Action {
	if a.Decides || seq == 0 {
		return []Action{{SendReject, id, CodeProtocol}}
	}
	if i := index(a.waiting, id); i >= 0 {
		a.waiting[i].seq = seq
		return nil
	}
	i := index(a.pending, id)
	if i < 0 {
		return nil // it has been committed already, or is on its way out
	}
	c := a.pending[i]
	c.seq = seq
	a.pending = slices.Delete(a.pending, i, i+1)
	return a.adopt(nil, c)
}

// Answered says that the committed link has answered the probe.
func (a *Arbiter) Answered() (do []Action) {
	if !a.probing {
		return nil
	}
	a.probing = false
	for _, c := range a.waiting {
		code := CodeDuplicate
		if c.inc != a.cur.inc {
			code = CodeDuplicateID
		}
		do = append(do, Action{SendReject, c.id, code})
	}
	a.waiting = a.waiting[:0]
	return do
}

// Unanswered says that the committed link has not answered the probe in time.
func (a *Arbiter) Unanswered() []Action {
	if !a.probing {
		return nil
	}
	do := []Action{{Drop, a.cur.id, CodeTimeout}}
	a.cur, a.probing = contender{}, false
	return a.settle(do)
}

// Closed says that a link has ended, whoever ended it.
func (a *Arbiter) Closed(id LinkID) []Action {
	if a.cur.id == id {
		a.cur, a.probing = contender{}, false
		return a.settle(nil)
	}
	if i := index(a.pending, id); i >= 0 {
		a.pending = slices.Delete(a.pending, i, i+1)
	}
	if i := index(a.waiting, id); i >= 0 {
		a.waiting = slices.Delete(a.waiting, i, i+1)
	}
	return nil
}

// settle considers those again who waited for a link that is gone.
func (a *Arbiter) settle(do []Action) []Action {
	waiting := a.waiting
	a.waiting = nil
	for _, c := range waiting {
		do = a.consider(do, c)
	}
	return do
}

func index(cs []contender, id LinkID) int {
	return slices.IndexFunc(cs, func(c contender) bool { return c.id == id })
}
