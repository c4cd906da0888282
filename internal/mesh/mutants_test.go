package mesh

import (
	"strings"
	"testing"

	"example.com/tcpnet/internal/link"
)

// A mutant is a rule that is not the protocol's. The explorer has to find out
// what is wrong with each.
type mutant uint8

const (
	none       mutant = iota
	trustOld          // a link that is there is believed alive, and not probed
	trustNew          // a new link takes the place of the old one, which is not probed
	noSequence        // the last COMMIT to arrive counts
	bothDecide        // there is no arbiter
)

func (m mutant) neverProbes() bool { return m == trustOld || m == trustNew }

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

// The explorer finds what is wrong with rules that are not the protocol's.
func TestExplorerFindsMutants(t *testing.T) {
	if raced {
		t.Skip("takes too long under the race detector")
	}
	for _, m := range []struct {
		name   string
		mutant mutant
		in     *scenario
		finds  string
	}{
		{"an old link is believed alive", trustOld, pair("", budget{cuts: 1}, nil), "NO WAIT"},
		{"a new link takes the place of the old", trustNew, twins("", []link.ID{"A", "B", "B"}, false, budget{}), "loses its connection although nothing has happened"},
		{"the last COMMIT to arrive counts", noSequence, pair("", budget{slow: 1}, nil), "NO RELAPSE"},
		{"both decide", bothDecide, pair("", budget{}, func(sc *scenario) { sc.undisturbed = true }), "NO ZERO"},
	} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			m.in.mutant = m.mutant
			if _, trace := explore(m.in, 200_000); !strings.Contains(trace, m.finds) {
				t.Errorf("want %q, got:\n%s", m.finds, trace)
			}
		})
	}
}
