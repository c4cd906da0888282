package main

import (
	"time"

	"example.com/tcpnet/bench/report"
)

// idle measures what a mesh costs that has nothing to do.
var idle = comparison{
	title: "idle: what all nodes together send, and what one node computes",
	unit:  "see the case",
	what: []string{
		"mDNS packets a minute, all nodes", "other packets a minute, all nodes", "kB a minute, all nodes",
		"CPU of the median node (1/1000 of a core)", "CPU of the busiest node (1/1000 of a core)",
	},
	once: func(l *lan, s system, n int, o options) ([]float64, error) {
		f := newFleet(l, s)
		defer f.stop()
		if ok, err := f.assemble(n, o); !ok {
			return nil, err
		}
		before, cpuBefore, err := f.expense()
		if err != nil {
			return nil, err
		}
		began := report.Now()
		time.Sleep(o.window)
		after, cpuAfter, err := f.expense()
		if err != nil {
			return nil, err
		}
		window := time.Duration(report.Now() - began)
		var cpu sample
		for i := range cpuAfter {
			cpu = append(cpu, 1000*float64(cpuAfter[i]-cpuBefore[i])/float64(window))
		}
		minute := func(n uint64) float64 { return float64(n) / window.Minutes() }
		return []float64{
			minute(after.mdns - before.mdns),
			minute(after.packets - after.mdns - before.packets + before.mdns),
			minute(after.bytes-before.bytes) / 1e3,
			cpu.median(), cpu.max(),
		}, nil
	},
}

// expense returns what all nodes have sent, and the processor time that each
// has used, so far.
func (f *fleet) expense() (traffic, []time.Duration, error) {
	sent, err := f.lan.sent()
	if err != nil {
		return sent, nil, err
	}
	used := make([]time.Duration, len(f.members))
	for i, m := range f.members {
		if used[i], err = cpuTime(m.cmd.Process.Pid); err != nil {
			return sent, nil, err
		}
	}
	return sent, used, nil
}
