package main

import "time"

// join measures how long one more node takes: n nodes run, another starts.
var join = comparison{
	title: "join: until the newcomer is connected to all and all to it",
	unit:  "ms",
	what:  []string{"from its main", "from its fork", "its CPU", "CPU of all others"},
	spare: 1,
	once: func(l *lan, s system, n int, o options) ([]float64, error) {
		f := newFleet(l, s)
		defer f.stop()
		if err := f.startAll(n, o.pace); err != nil {
			return nil, err
		}
		if _, full, err := f.waitFull(o.limit); err != nil || !full {
			f.incomplete("before the newcomer started")
			return nil, err
		}
		time.Sleep(o.settle)
		before, err := f.cpuTimes()
		if err != nil {
			return nil, err
		}
		m, err := f.start()
		if err != nil {
			return nil, err
		}
		var at int64
		joined, err := f.wait(o.limit, func() (joined bool) {
			at, joined = f.seen.joinedAt(n, f.places())
			return joined
		})
		if err != nil || !joined {
			f.incomplete("after the newcomer started")
			return nil, err
		}
		cpu, err := f.cpuTimes()
		if err != nil {
			return nil, err
		}
		var others time.Duration
		for i := range before {
			others += cpu[i] - before[i]
		}
		return []float64{ms(at - m.started), ms(at - m.forked), ms(int64(cpu[n])), ms(int64(others))}, nil
	},
}
