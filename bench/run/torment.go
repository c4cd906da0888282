package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"example.com/tcpnet/bench/report"
	"example.com/tcpnet/internal/lab"
)

// torment does damage to a fleet, by chance, and mends it.
type torment struct {
	f        *fleet
	rnd      *rand.Rand
	veterans int // nodes at the first places that are never killed
	excuses  *excuses
	ills     map[int]*ill // by place
	split    *ill
	count    map[string]int // faults so far, by what they are
	last     map[int]string // the last fault at each place
	failed   error          // of the harness itself
}

// ill is a fault that lasts.
type ill struct {
	what  string
	until int64
	pairs []pair // between whose nodes it is
	mend  func() error
}

// fault is a kind of fault that one node can have.
type fault struct {
	what  string
	fatal bool
	most  time.Duration // it lasts
	begin func(*torment, int) (mend func() error)
}

var faults = []fault{
	{"kill -9, same ID", true, 5 * time.Second, func(t *torment, place int) func() error {
		id := t.f.members[place].id
		t.kill(place)
		return func() error { return t.f.again(place, id) }
	}},
	{"kill -9, new ID", true, 5 * time.Second, func(t *torment, place int) func() error {
		t.kill(place)
		return func() error { return t.f.again(place, t.f.sys.id(place)) }
	}},
	{"SIGSTOP", false, 20 * time.Second, func(t *torment, place int) func() error {
		m := t.f.members[place]
		m.signal(syscall.SIGSTOP)
		return func() error { m.signal(syscall.SIGCONT); return nil }
	}},
	{"cable out", false, 20 * time.Second, cutBy(lab.NoCarrier)},
	{"cable dead", false, 20 * time.Second, cutBy(lab.Silent)},
	{"interface down", false, 20 * time.Second, cutBy(lab.Down)},
}

func cutBy(how lab.Cut) func(*torment, int) func() error {
	return func(t *torment, place int) func() error {
		h := t.f.lan.hosts[place]
		h.Cut(how)
		return func() error { h.Heal(); return nil }
	}
}

// kill ends the node at a place. What it has told before is heard.
func (t *torment) kill(place int) {
	m := t.f.members[place]
	m.process.Kill()
	t.failed = errors.Join(t.failed, t.f.drain())
	m.kill()
}

// strike begins a fault, if the one that chance names has room.
func (t *torment) strike() {
	n := len(t.f.members)
	if t.rnd.IntN(12) == 0 {
		t.part(n)
		return
	}
	place, f := t.rnd.IntN(n), faults[t.rnd.IntN(len(faults))]
	lasts := time.Duration(t.rnd.Int64N(int64(f.most)))
	if t.ills[place] != nil || f.fatal && place < t.veterans {
		return
	}
	i := &ill{what: f.what, pairs: around(place, n), until: report.Now() + int64(lasts)}
	t.begin(i)
	t.last[place] = fmt.Sprintf("%s for %.1f s", f.what, lasts.Seconds())
	i.mend = f.begin(t, place)
	t.ills[place] = i
}

// part splits the network in two.
func (t *torment) part(n int) {
	side := make([]bool, n)
	var halves [2][]*lab.Host
	for place := range side {
		if side[place] = t.rnd.IntN(2) == 0; side[place] {
			halves[0] = append(halves[0], t.f.lan.hosts[place])
		} else {
			halves[1] = append(halves[1], t.f.lan.hosts[place])
		}
	}
	lasts := time.Duration(t.rnd.Int64N(int64(20 * time.Second)))
	if t.split != nil {
		return
	}
	t.split = &ill{what: "split", pairs: across(side), until: report.Now() + int64(lasts)}
	t.begin(t.split)
	t.f.lan.Split(halves[0], halves[1])
	t.split.mend = func() error { t.f.lan.Split(); return nil }
}

func (t *torment) begin(i *ill) {
	t.count[i.what]++
	t.excuses.begin(i.pairs)
}

// mend ends the faults whose time is up, or all of them.
func (t *torment) mend(all bool) error {
	if t.failed != nil {
		return t.failed
	}
	now := report.Now()
	for place := range t.f.members {
		if i := t.ills[place]; i != nil && (all || i.until <= now) {
			delete(t.ills, place)
			if err := t.end(i); err != nil {
				return fmt.Errorf("node %d, after %s: %w", place, i.what, err)
			}
		}
	}
	if i := t.split; i != nil && (all || i.until <= now) {
		t.split = nil
		return t.end(i)
	}
	return nil
}

func (t *torment) end(i *ill) error {
	err := i.mend()
	t.excuses.end(i.pairs, report.Now())
	return err
}
