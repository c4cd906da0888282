package mesh

import "example.com/tcpnet/internal/link"

// A mutant is a rule that is not the protocol's. The explorer has to find out
// what is wrong with each.
type mutant uint8

const (
	none        mutant = iota
	trustOld           // a link that is there is believed alive, and not probed
	trustNew           // a new link takes the place of the old one, which is not probed
	noSequence         // the last COMMIT to arrive counts
	bothDecide         // there is no arbiter
	neverSettle        // who waits for a link that ends is forgotten
)

// tamper changes a core after each of its steps.
func (sc *scenario) tamper(n *node) {
	switch sc.mutant {
	case trustOld, trustNew:
		for _, s := range n.core.sorted() {
			if n.core.sessions[s.id] == s && !s.probe.IsZero() {
				if sc.mutant == trustOld {
					n.core.answered(now, s)
				} else {
					n.core.unanswered(now, s)
				}
			}
		}
	}
}

// meet changes a core before it takes a HELLO.
func (sc *scenario) meet(c *core, id link.ID) {
	if sc.mutant == bothDecide {
		c.get(id, now).arb.Decides = true
	}
}

// sequence changes the sequence of a COMMIT.
func (sc *scenario) sequence(n *node, id link.LinkID, seq uint64) uint64 {
	if s := n.core.sessions[id]; sc.mutant == noSequence && s != nil {
		return inside(&s.peer.arb).cur.seq + 1
	}
	return seq
}
