package main

import (
	"errors"
	"fmt"
	"math"
	"time"

	"example.com/tcpnet/bench/report"
)

// footprint is what one node holds, with the mesh full.
var footprint = comparison{
	title: "memory: the median node of a full mesh",
	unit:  "see the case",
	what:  []string{"resident kB", "anonymous kB", "heap kB", "stack kB", "goroutines", "descriptors", "threads"},
	once: func(l *lan, s system, n int, o options) ([]float64, error) {
		f := newFleet(l, s)
		defer f.stop()
		if ok, err := f.assemble(n, o); !ok {
			return nil, err
		}
		var columns []sample
		for _, m := range f.members {
			held, err := f.holdings(m)
			if err != nil {
				return nil, err
			}
			if columns == nil {
				columns = make([]sample, len(held))
			}
			for i, v := range held {
				columns[i] = append(columns[i], v)
			}
		}
		figures := make([]float64, len(columns))
		for i, c := range columns {
			figures[i] = c.median()
		}
		return figures, nil
	},
}

// holdings returns the figures of footprint for one node.
func (f *fleet) holdings(m *member) ([]float64, error) {
	use, err := memoryOf(m.process.Cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	stat, err := f.statOf(m, "stat")
	if err != nil {
		return nil, err
	}
	heap, err1 := stat.Value("heap")
	stack, err2 := stat.Value("stack")
	goroutines, err3 := stat.Value("goroutines")
	return []float64{use.rssKB, use.anonKB, heap / 1024, stack / 1024, goroutines, use.descriptors, use.threads}, errors.Join(err1, err2, err3)
}

// memory prints the footprint for each number of nodes and, from it, what one
// peer more costs a node.
func memory(o options) error {
	cases, err := footprint.collect(o)
	if err != nil || len(o.n) < 2 {
		return err
	}
	fmt.Println("\nper peer, and for a node alone: the straight line through the medians")
	for i, what := range footprint.what {
		for _, s := range o.names() {
			var peers, held []float64
			for k, n := range o.n {
				if v := cases[k][i][s].median(); !math.IsNaN(v) {
					peers, held = append(peers, float64(n-1)), append(held, v)
				}
			}
			if len(peers) < 2 {
				continue
			}
			per, alone := slope(peers, held)
			fmt.Printf("  %-8s %-14s %8s per peer, %8s alone\n", s, what, figure(per), figure(alone))
		}
	}
	return nil
}

// statOf asks a node of itself, with the command "stat" or "trim".
func (f *fleet) statOf(m *member, command string) (report.Event, error) {
	asked := report.Now()
	if err := m.ask(command); err != nil {
		return report.Event{}, err
	}
	if ok, err := f.wait(5*time.Second, func() bool { return m.stat.At >= asked }); err != nil || !ok {
		return report.Event{}, fmt.Errorf("node %s does not answer: %w", m.id, err)
	}
	return m.stat, nil
}
