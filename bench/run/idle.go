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
		"mDNS packets a minute, all nodes", "TCP packets a minute, all nodes", "other packets a minute, all nodes", "kB a minute, all nodes",
		"CPU of the median node (1/1000 of a core)", "CPU of the busiest node (1/1000 of a core)",
	},
	once: func(l *lan, s system, n int, o options) ([]float64, error) {
		f := newFleet(l, s)
		defer f.stop()
		if ok, err := f.assemble(n, o); !ok {
			return nil, err
		}
		m := newMeter(l)
		before := m.read()
		cpuBefore, err := f.cpuTimes()
		if err != nil {
			return nil, err
		}
		began := report.Now()
		time.Sleep(o.window)
		window := time.Duration(report.Now() - began)
		after := m.read()
		cpuAfter, err := f.cpuTimes()
		if err != nil {
			return nil, err
		}
		var cpu sample
		for i := range cpuAfter {
			cpu = append(cpu, 1000*float64(cpuAfter[i]-cpuBefore[i])/float64(window))
		}
		minute := func(kind string) float64 {
			return float64(after.frames[kind]-before.frames[kind]) / window.Minutes()
		}
		return []float64{
			minute("mdns"), minute("tcp"), minute("all") - minute("mdns") - minute("tcp"),
			float64(after.bytes["all"]-before.bytes["all"]) / 1e3 / window.Minutes(),
			cpu.median(), cpu.max(),
		}, nil
	},
}

// cpuTimes returns the processor time that each node has used so far.
func (f *fleet) cpuTimes() ([]time.Duration, error) {
	used := make([]time.Duration, len(f.members))
	for i, m := range f.members {
		var err error
		if used[i], err = cpuTime(m.process.Cmd.Process.Pid); err != nil {
			return nil, err
		}
	}
	return used, nil
}
