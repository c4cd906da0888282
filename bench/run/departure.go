package main

import (
	"syscall"
	"time"

	"example.com/tcpnet/bench/report"
	"example.com/tcpnet/internal/lab"
)

// kill measures how soon all others see that a process was killed.
var kill = comparison{
	title: "kill -9: until all others have seen it",
	unit:  "ms",
	what:  []string{"connections ended", "library told"},
	once: func(l *lan, s system, n int, o options) ([]float64, error) {
		f := newFleet(l, s)
		defer f.stop()
		if ok, err := f.assemble(n, o); !ok {
			return nil, err
		}
		at := f.members[n-1].signal(syscall.SIGKILL)
		ended, told, err := f.untilSeen(n-1, at, o)
		return append([]float64{ended}, told...), err
	},
}

// hang measures how soon all others see that a process is stopped, and how
// soon the mesh is full again after it continues.
var hang = comparison{
	title: "SIGSTOP: until all others have seen it; SIGCONT: until the mesh is full again",
	unit:  "ms",
	what:  []string{"connections ended", "full again", "library told"},
	once: func(l *lan, s system, n int, o options) ([]float64, error) {
		return absence(l, s, n, o,
			func(f *fleet) int64 { return f.members[n-1].signal(syscall.SIGSTOP) },
			func(f *fleet) int64 { return f.members[n-1].signal(syscall.SIGCONT) })
	},
}

// cut measures the same of a host whose cable is pulled and put back.
var cut = comparison{
	title: "cable cut: until all others have seen it; put back: until the mesh is full again",
	unit:  "ms",
	what:  []string{"connections ended", "full again", "library told"},
	once: func(l *lan, s system, n int, o options) ([]float64, error) {
		h := l.hosts[n-1]
		defer h.Heal()
		return absence(l, s, n, o,
			func(*fleet) int64 { return timed(func() { h.Cut(cuts[o.cut]) }) },
			func(*fleet) int64 { return timed(h.Heal) })
	},
}

// cuts are the ways to cut a cable, by the names of the flag -how.
var cuts = map[string]lab.Cut{"silent": lab.Silent, "carrier": lab.NoCarrier, "down": lab.Down}

// split measures how soon the mesh is full again after the network was in two
// halves for a time.
var split = comparison{
	title: "split in halves, then whole: until the mesh is full again",
	unit:  "ms",
	what:  []string{"full again", "pairs lost meanwhile (number)"},
	once: func(l *lan, s system, n int, o options) ([]float64, error) {
		f := newFleet(l, s)
		defer f.stop()
		if ok, err := f.assemble(n, o); !ok {
			return nil, err
		}
		l.Split(l.hosts[:n/2], l.hosts[n/2:])
		defer l.Heal()
		time.Sleep(o.away)
		if err := f.drain(); err != nil {
			return nil, err
		}
		lost, _ := f.seen.missing(f.places())
		healed := timed(l.Heal)
		again, err := f.untilFullAgain(healed, o)
		return []float64{again, float64(lost)}, err
	},
}

// absence takes the last node away, waits until all others have seen it, brings
// it back and waits for the full mesh.
func absence(l *lan, s system, n int, o options, away, back func(*fleet) int64) ([]float64, error) {
	f := newFleet(l, s)
	defer f.stop()
	if ok, err := f.assemble(n, o); !ok {
		return nil, err
	}
	ended, told, err := f.untilSeen(n-1, away(f), o)
	if err != nil {
		return nil, err
	}
	again, err := f.untilFullAgain(back(f), o)
	return append([]float64{ended, again}, told...), err
}

// assemble starts n nodes, waits for the full mesh and lets it rest.
func (f *fleet) assemble(n int, o options) (ok bool, err error) {
	if err := f.startAll(n, o.pace); err != nil {
		return false, err
	}
	if _, full, err := f.waitFull(o.limit); err != nil || !full {
		f.incomplete("at the beginning")
		return false, err
	}
	time.Sleep(o.settle)
	return true, f.drain()
}

// untilSeen waits until all other nodes have seen the node at place go since
// the given time. It returns the milliseconds until their connections had ended
// and, if the library tells such a thing, until it had told all.
func (f *fleet) untilSeen(place int, since int64, o options) (ended float64, told []float64, err error) {
	ended = failed
	if f.sys.tells() {
		told = []float64{failed}
	}
	_, err = f.wait(o.limit, func() bool {
		at, allEnded := f.seen.goneAt(place, f.places(), since)
		if allEnded {
			ended = ms(at - since)
		}
		at, allTold := f.seen.leftAt(place, f.places(), since)
		if allTold && told != nil {
			told[0] = ms(at - since)
		}
		return allEnded && (allTold || told == nil)
	})
	return ended, told, err
}

// hold is how long a mesh that is full again has to stay so to count.
const hold = 2 * time.Second

// untilFullAgain waits until the mesh is full and stays so, and returns the
// milliseconds since the given time: 0 if nobody had noticed anything.
func (f *fleet) untilFullAgain(since int64, o options) (float64, error) {
	for end := time.Now().Add(o.limit); time.Now().Before(end); {
		at, full, err := f.waitFull(time.Until(end))
		if err != nil || !full {
			break
		}
		time.Sleep(hold)
		if err := f.drain(); err != nil {
			return failed, err
		}
		if again, full := f.seen.fullAt(f.places()); full && again == at {
			return max(0, ms(at-since)), nil
		}
	}
	f.incomplete("at the end")
	return failed, nil
}

// timed returns the time just after act, which is when its effect is there.
func timed(act func()) (at int64) {
	act()
	return report.Now()
}
