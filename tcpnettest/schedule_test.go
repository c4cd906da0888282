package tcpnettest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// A schedule is what happens to a LAN with some members, each on a host of its own.
type schedule struct {
	seed    uint64
	members int
	first   int           // that join at the beginning
	faults  time.Duration // how long things go wrong
	network networkKind
	busy    bool // programs write, finish and close
	steps   []step
}

// networkKind is what the members have of a network.
type networkKind uint8

const (
	plain     networkKind = iota // IPv4 and multicast
	linkLocal                    // IPv6 link-local addresses beside them
	twoWays                      // two interfaces, on two switches
	seedsOnly                    // no multicast: everyone has the first two members as seeds
	networks
)

var networkText = [...]string{"plain", "IPv6 link-local too", "two interfaces", "seeds only"}

// step is one thing that happens.
type step struct {
	at   time.Duration
	op   op
	a, b int           // members
	size time.Duration // how long, if it ends by itself
	x    float64       // how much, from 0 to 1
}

type op uint8

const (
	opJoin op = iota // a joins, if it is not there
	opShutdown
	opClose
	opCrash     // and its host stays
	opRestart   // it crashes and is there again at once, with the same ID
	opRenew     // the same with another ID
	opPower     // its host loses power for a while
	opPartition // the members are divided at random
	opCut       // a and b are cut off from one another
	opOneWay    // nothing comes from a to b
	opFirewall  // a does not let b dial it
	opHeal
	opLoss
	opDelay
	opFreeze
	opSleep
	opTwin // a node with a's ID joins from b's host, and leaves again
	opRenumber
	opUnplug
	opDown     // an interface goes down and comes back
	opDetach   // an interface is removed and comes back with another address
	opReject   // a rejects b for a while
	opCloseAll // a's program closes all connections
	opSlow     // a's program does not read for a while
	ops
)

var opText = [...]string{"joins", "shuts down", "closes", "crashes", "restarts", "restarts with another ID", "loses power",
	"partition", "cut from", "is not heard by", "cannot be dialled by", "heal", "loss", "delay", "freezes", "sleeps",
	"has a twin with", "is renumbered", "is unplugged", "goes down", "loses its interface", "rejects", "closes all connections", "does not read"}

func (s step) String() string {
	switch s.op {
	case opHeal, opLoss, opDelay, opPartition:
		return fmt.Sprintf("%v: %s %.2f for %v", s.at, opText[s.op], s.x, s.size)
	case opCut, opOneWay, opFirewall, opTwin, opReject:
		return fmt.Sprintf("%v: h%d %s h%d, %v", s.at, s.a+1, opText[s.op], s.b+1, s.size)
	}
	return fmt.Sprintf("%v: h%d %s, %v", s.at, s.a+1, opText[s.op], s.size)
}

func (s schedule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d members, %d at the beginning, network: %s, busy programs: %v, faults for %v\n",
		s.seed, s.members, s.first, networkText[s.network], s.busy, s.faults)
	for _, st := range s.steps {
		fmt.Fprintln(&b, "  ", st)
	}
	return b.String()
}

// newSchedule makes the schedule of a seed. Most are small: what goes wrong between
// many goes wrong between few, and is understood there.
func newSchedule(seed uint64) schedule {
	r := rand.New(rand.NewPCG(seed, 0x5c4ed))
	s := schedule{seed: seed, network: networkKind(r.IntN(int(networks))), busy: r.IntN(2) == 0}
	switch n := r.IntN(100); {
	case n < 25:
		s.members = 2
	case n < 75:
		s.members = 3 + r.IntN(4)
	case n < 97:
		s.members = 7 + r.IntN(6)
	default:
		s.members = 13 + r.IntN(18)
	}
	s.first = 1 + r.IntN(s.members)
	s.faults = time.Duration(5+r.IntN(56)) * time.Second
	// A few kinds of faults per schedule, so that each gets its turn alone.
	var kinds []op
	for range 1 + r.IntN(6) {
		kinds = append(kinds, op(r.IntN(int(ops))))
	}
	for range 1 + r.IntN(12) {
		st := step{op: kinds[r.IntN(len(kinds))], at: anyTime(r, s.faults), a: r.IntN(s.members), b: r.IntN(s.members), x: r.Float64()}
		st.size = anyTime(r, s.faults-st.at)
		if r.IntN(3) == 0 {
			st.size = min(st.size, anyTime(r, 500*time.Millisecond))
		}
		if st.a == st.b {
			st.b = (st.a + 1) % s.members
		}
		s.steps = append(s.steps, st)
	}
	for i := s.first; i < s.members; i++ {
		s.steps = append(s.steps, step{op: opJoin, at: anyTime(r, s.faults), a: i})
	}
	return s
}

func anyTime(r *rand.Rand, max time.Duration) time.Duration {
	if max <= 0 {
		return 0
	}
	return time.Duration(r.Int64N(int64(max))).Truncate(time.Millisecond)
}
