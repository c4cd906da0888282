package mesh

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"example.com/tcpnet/discovery"
	"example.com/tcpnet/internal/link"
)

var fixedRand = rand.New(rand.NewPCG(1, 2))

// within reports whether d is in the upper half of most, where back-offs are.
func within(d, most time.Duration) bool { return most/2 <= d && d <= most }

func TestBackoffDoublesUpToACap(t *testing.T) {
	s := schedule{since: now}
	for i, most := range []time.Duration{250, 500, 1000, 1000, 1000} {
		if d := s.backoff(now, fixedRand); !within(d, most*time.Millisecond) {
			t.Errorf("after failure %d: %v, want at most %v ms", i, d, most)
		}
		s.start(now)
		s.failed(now, fixedRand)
	}
}

func TestBackoffCapGrowsWithTheOutage(t *testing.T) {
	for outage, most := range map[time.Duration]time.Duration{
		0: time.Second, 20 * time.Second: time.Second, time.Minute: time.Minute / 32,
		10 * time.Minute: 600 * time.Second / 32, time.Hour: 30 * time.Second, 24 * time.Hour: 30 * time.Second,
	} {
		s := schedule{since: now.Add(-outage), tries: 60}
		if d := s.backoff(now, fixedRand); !within(d, most) {
			t.Errorf("out for %v: %v, want at most %v", outage, d, most)
		}
	}
}

func TestPlanBringsForwardOnly(t *testing.T) {
	var s schedule
	s.plan(now.Add(time.Second))
	s.plan(now.Add(time.Minute))
	if s.due != now.Add(time.Second) || s.since != now.Add(time.Second) {
		t.Error(s)
	}
	s.postpone(now.Add(10 * time.Second))
	s.postpone(now)
	if s.due != now.Add(10*time.Second) {
		t.Error("postpone:", s.due)
	}
	s.start(now)
	s.plan(now)
	if !s.due.IsZero() || !s.dialing {
		t.Error("planned while an attempt is under way")
	}
	s.stop()
	if !s.dialing || s.last != now || s.tries != 0 {
		t.Error("stop has forgotten the attempt under way:", s)
	}
}

// dials takes note of the attempts that a core makes.
type dials struct {
	effects
	to []link.ID
}

func (d *dials) dial(p *peer, _ *seed)    { d.to = append(d.to, p.id) }
func (d *dials) reconfirm(link.ID)        {}
func (d *dials) sampled(time.Duration)    {}
func (d *dials) take() (ids []link.ID)    { ids, d.to = d.to, nil; return ids }
func candidate(i int) discovery.Candidate { return candidateAt(i, byte(i)) }
func candidateAt(i int, h byte) discovery.Candidate {
	return discovery.Candidate{
		ID: fmt.Sprintf("%X", 0x100+i), Addrs: []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, h}), uint16(1000+i))},
		Announced: true,
	}
}

func dialler() (*core, *dials) {
	d := &dials{}
	c := newCore("1", link.Incarnation{1}, d)
	c.interval, c.timeout, c.dials, c.rnd = 3*time.Second, 10*time.Second, 16, fixedRand
	return c, d
}

func TestSixteenAttemptsAtOnce(t *testing.T) {
	c, d := dialler()
	for i := range 40 {
		c.found(now, candidate(i))
		c.run(now)
	}
	first := d.take()
	if len(first) != 16 {
		t.Fatalf("%d attempts at once", len(first))
	}
	// Each that ends makes room for one that has not been tried: those come
	// before the ones that failed, whose turn is long due.
	later := now.Add(time.Minute)
	for i, id := range first {
		c.dialFailed(later, c.peers[id], nil, 0, errNoAddress)
		c.run(later)
		if got := d.take(); len(got) != 1 || slices.Contains(first, got[0]) {
			t.Fatalf("after %d attempts have ended: %v", i+1, got)
		}
	}
}

// Those that have failed before get half of the room.
func TestHalfOfTheRoomIsForRetries(t *testing.T) {
	c, d := dialler()
	at := now
	for i := range 16 {
		c.found(at, candidate(i))
	}
	c.run(at)
	for _, id := range d.take() {
		c.dialFailed(at, c.peers[id], nil, 0, errNoAddress)
	}
	at = at.Add(time.Minute)
	c.run(at)
	if n := len(d.take()); n != 8 {
		t.Errorf("%d attempts at targets that failed", n)
	}
	for i := range 16 {
		c.found(at, candidate(100+i))
	}
	c.run(at)
	if n := len(d.take()); n != 8 {
		t.Errorf("%d attempts at new targets beside them", n)
	}
}

// Three quarters of the room are for one machine.
func TestOneMachineDoesNotKeepOthersFromBeingDialled(t *testing.T) {
	c, d := dialler()
	for i := range 100 {
		c.found(now, candidateAt(i, 1))
	}
	c.run(now)
	if n := len(d.take()); n != 12 {
		t.Errorf("%d attempts at one machine", n)
	}
	c.found(now, candidateAt(500, 2))
	c.run(now)
	if n := len(d.take()); n != 1 {
		t.Error("another machine waits")
	}
}

// Whatever discovery says of it, a target that was never met is dialled once a
// second at most.
func TestStrangersAreDialledOnceASecond(t *testing.T) {
	c, d := dialler()
	for ms := range 10_000 {
		at := now.Add(time.Duration(ms) * time.Millisecond)
		c.found(at, candidate(1))
		c.run(at)
		for _, id := range d.take() {
			c.dialFailed(at, c.peers[id], nil, 0, errNoAddress)
			if ms%1000 != 0 {
				t.Fatalf("dialled after %d ms", ms)
			}
		}
	}
}

// Who can expect the other to have learned of it gives it a moment to dial first;
// who has the larger ID waits longer.
func TestGrace(t *testing.T) {
	for id, grace := range map[link.ID]time.Duration{"1": graceSmaller, "FFFF": graceLarger} {
		c, d := dialler()
		c.id = id
		cand := candidate(1)
		cand.Announced, cand.Addrs = false, append(cand.Addrs, netip.MustParseAddrPort("10.0.0.9:9"))
		c.get(link.ID(cand.ID), now).learn(cand.Addrs)
		c.found(now, cand)
		c.run(now.Add(grace - 1))
		if early := d.take(); len(early) != 0 {
			t.Errorf("%s dials at once", id)
		}
		c.run(now.Add(grace))
		if len(d.take()) != 1 {
			t.Errorf("%s does not dial after %v", id, grace)
		}
	}
}

// Where handshakes are dear, and only there, two nodes that are both new and hear of each
// other do not both dial at once. A newcomer is not kept waiting by those that are not.
func TestGraceWhereHandshakesAreDear(t *testing.T) {
	for _, test := range []struct {
		id    link.ID
		dear  bool
		age   time.Duration
		grace time.Duration
	}{
		{"FFFF", true, 0, graceDear},
		{"1", true, 0, 0},
		{"FFFF", false, 0, 0},
		{"FFFF", true, youth, 0},
	} {
		c, d := dialler()
		c.id, c.dear, c.born = test.id, test.dear, now.Add(-test.age)
		c.found(now, candidate(1))
		if test.grace > 0 {
			c.run(now.Add(test.grace - 1))
			if early := d.take(); len(early) != 0 {
				t.Errorf("%+v: dials at once", test)
			}
		}
		c.run(now.Add(test.grace))
		if len(d.take()) != 1 {
			t.Errorf("%+v: does not dial then", test)
		}
	}
}

// Where coming again soon is of no use, the next attempt waits.
func TestAnswersThatPutTheNextAttemptOff(t *testing.T) {
	for code, long := range map[link.Code]bool{
		0: false, link.CodeBusy: false, link.CodeRefused: true, link.CodeDuplicateID: true,
		link.CodeVersion: true, link.CodeWrongName: true,
	} {
		c, _ := dialler()
		c.fx = &dials{effects: silent{}}
		c.found(now, candidate(1))
		c.run(now)
		p := c.everyone()[0]
		c.dialFailed(now, p, nil, code, &answer{code: code, err: errNoAddress})
		if d := p.dial.due.Sub(now); long != (d >= retryCap/2) || d > retryCap {
			t.Errorf("after REJECT(%v): %v", code, d)
		}
	}
}

// silent is a program that does not listen.
type silent struct{ effects }

func (silent) reject(Rejection) {}
