package mesh

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"unsafe"

	"example.com/tcpnet/internal/link"
)

// contender and arbiterInside have the layout of link's contender and Arbiter, so
// that the explorer can copy and compare what Arbiter keeps to itself.
type contender struct {
	id      link.LinkID
	dialled bool
	inc     link.Incarnation
	seq     uint64
}

type arbiterInside struct {
	Decides bool
	cur     contender
	probing bool
	waiting []contender
	pending []contender
}

func inside(a *link.Arbiter) *arbiterInside { return (*arbiterInside)(unsafe.Pointer(a)) }

// A change of Arbiter's fields has to be followed here.
func TestArbiterInsideHasTheLayoutOfArbiter(t *testing.T) {
	if got, want := layout(reflect.TypeFor[arbiterInside]()), layout(reflect.TypeFor[link.Arbiter]()); got != want {
		t.Fatalf("arbiterInside is\n%s\nlink.Arbiter is\n%s", got, want)
	}
}

func layout(t reflect.Type) (s string) {
	switch t.Kind() {
	case reflect.Struct:
		for f := range t.Fields() {
			s += fmt.Sprintf("%s@%d(%s) ", f.Name, f.Offset, layout(f.Type))
		}
		return s
	case reflect.Slice:
		return "[]" + layout(t.Elem())
	default:
		return t.Kind().String()
	}
}

// cloneCore returns a core that shares nothing with c that either would change.
// Attempts that are under way have to be found again by the peer or seed they are
// made at.
func cloneCore(c *core) *core {
	d := *c
	d.targets = targets{} // time stands still here, and they limit nothing but how often
	d.own = maps.Clone(c.own)
	d.peers = make(map[link.ID]*peer, len(c.peers))
	d.sessions = make(map[link.LinkID]*session, len(c.sessions))
	d.seeds = make([]*seed, len(c.seeds))
	for i, s := range c.seeds {
		s := *s
		d.seeds[i] = &s
	}
	for id, s := range c.sessions {
		s := *s
		d.sessions[id] = &s
	}
	for id, p := range c.peers {
		q := *p
		in := inside(&q.arb)
		in.waiting, in.pending = slices.Clone(in.waiting), slices.Clone(in.pending)
		q.addrs, q.sees, q.trying, q.losses = slices.Clone(p.addrs), slices.Clone(p.sees), slices.Clone(p.trying), slices.Clone(p.losses)
		if p.sess != nil {
			q.sess = d.sessions[p.sess.id]
		}
		d.peers[id] = &q
	}
	for _, s := range d.sessions {
		if s.seed != nil {
			s.seed = d.seeds[slices.Index(c.seeds, s.seed)]
		}
		if s.attempt != nil {
			s.attempt = cloneAttempt(c, &d, s.attempt)
		}
		s.peer = d.peers[s.peer.id]
	}
	return &d
}

// cloneAttempt finds in d the schedule that is a in c.
func cloneAttempt(c, d *core, a *schedule) *schedule {
	for id, p := range c.peers {
		if a == &p.dial {
			return &d.peers[id].dial
		}
	}
	for i, s := range c.seeds {
		if a == &s.dial {
			return &d.seeds[i].dial
		}
	}
	panic("an attempt at a peer that is not in the table any more")
}

// Whatever core, peer, session and seed refer to has to be copied by cloneCore:
// these are the fields it was written for.
func TestCloneKnowsAllFields(t *testing.T) {
	for typ, want := range map[reflect.Type]int{
		reflect.TypeFor[core]():     coreFields,
		reflect.TypeFor[peer]():     peerFields,
		reflect.TypeFor[session]():  sessionFields,
		reflect.TypeFor[seed]():     seedFields,
		reflect.TypeFor[schedule](): scheduleFields,
	} {
		if n := typ.NumField(); n != want {
			t.Errorf("%v has %d fields, %d are known to cloneCore and to the hash of the explorer: look after them", typ, n, want)
		}
	}
}

const (
	coreFields     = 25
	peerFields     = 25
	sessionFields  = 26
	seedFields     = 6
	scheduleFields = 6
)
