package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/tcpnet/internal/lab"
)

// trial is a fault that docs/RELIABILITY.md lists, and how to measure what becomes
// of it.
type trial struct {
	name  string // for -only
	nodes int
	rows  []row // of the table, one for each figure
	busy  bool  // the nodes send a message on every connection, 20 times a second

	hosts func(*lan, int)                   // makes the hosts; nil: all on one switch
	node  func(t *try, place int) (f flags) // how a node differs; nil: it does not
	once  func(*try) ([]float64, error)
}

// row is a row of the table.
type row struct {
	fault, promise string
	number         bool // the figure is a number; otherwise it is in milliseconds
}

// flags are what a node is started with.
type flags struct {
	id   string // empty: a random one
	more []string
}

// try is one run of a trial, on hosts of its own.
type try struct {
	*fleet
	options
}

// reliability measures all trials, or those named, and prints their rows of
// docs/RELIABILITY.md.
func reliability(o options) error {
	known := func(name string) bool {
		return slices.ContainsFunc(trials, func(t trial) bool { return t.name == name })
	}
	if i := slices.IndexFunc(o.only, func(name string) bool { return !known(name) }); i >= 0 {
		return fmt.Errorf("no trial is called %q; there are %s", o.only[i], strings.Join(trialNames(), ", "))
	}
	fmt.Println("\n| fault | promised | measured: median (min to max), runs | how to run it |\n|---|---|---|---|")
	var errs []error
	for _, t := range trials {
		if len(o.only) > 0 && !slices.Contains(o.only, t.name) {
			continue
		}
		figures, err := t.runs(o)
		for i, r := range t.rows {
			fmt.Printf("| %s | %s | %s | `run reliability -only %s` |\n", r.fault, r.promise, r.text(figures[i]), t.name)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func trialNames() (names []string) {
	for _, t := range trials {
		names = append(names, t.name)
	}
	return names
}

// text writes the figures of a row.
func (r row) text(s sample) string {
	if len(s.sound()) == 0 {
		return fmt.Sprintf("failed, %d of %d", s.failures(), len(s))
	}
	show := func(v float64) string {
		switch {
		case r.number:
			return figure(v)
		case v >= 1000:
			return figure(v/1000) + " s"
		default:
			return fmt.Sprintf("%.0f ms", v)
		}
	}
	text := fmt.Sprintf("%s (%s to %s), %d", show(s.median()), show(s.min()), show(s.max()), len(s))
	if n := s.failures(); n > 0 {
		text += fmt.Sprintf(", %d of them failed", n)
	}
	return text
}

// runs runs a trial as often as o says, some runs at once, and returns a sample for
// each row.
func (t trial) runs(o options) ([]sample, error) {
	var mu sync.Mutex // guards samples and errs
	samples := make([]sample, len(t.rows))
	var errs []error
	todo := make(chan int)
	var workers sync.WaitGroup
	for range max(o.atOnce, 1) {
		workers.Go(func() {
			for range todo {
				figures, err := t.undisturbed(o)
				mu.Lock()
				errs = append(errs, err)
				for i := range samples {
					v := failed
					if i < len(figures) {
						v = figures[i]
					}
					samples[i] = append(samples[i], v)
				}
				mu.Unlock()
			}
		})
	}
	for run := range o.runs {
		todo <- run
	}
	close(todo)
	workers.Wait()
	err := errors.Join(errs...)
	for i, r := range t.rows {
		if n := samples[i].failures(); n > 0 && err == nil {
			err = fmt.Errorf("%s, %s: %d of %d runs failed", t.name, r.fault, n, o.runs)
		}
	}
	return samples, err
}

// mostTries is how often a run is begun anew because it was disturbed.
const mostTries = 8

// undisturbed runs it until no other program on the machine has filled the kernel's
// tables of neighbours meanwhile.
func (t trial) undisturbed(o options) (figures []float64, err error) {
	for range mostTries {
		before, err := overflows()
		if err != nil {
			return nil, err
		}
		figures, err = t.run(o)
		after, err2 := overflows()
		if err = errors.Join(err, err2); err != nil || after == before {
			return figures, err
		}
		fmt.Fprintf(os.Stderr, "%s: again, the kernel's tables of neighbours were full (it had come to %v)\n", t.name, figures)
	}
	return nil, fmt.Errorf("%s: %d times in a row another program filled the kernel's tables of neighbours", t.name, mostTries)
}

// run runs it once. Figures that it did not come to are missing.
func (t trial) run(o options) (figures []float64, err error) {
	fault := lab.Run(func(lt lab.T) {
		l := &lan{Lab: lab.New(lt)}
		l.middle = l.Switch("lan")
		if t.hosts == nil {
			l.plug(t.nodes)
		} else {
			t.hosts(l, t.nodes)
		}
		if t.nodes > crowd/max(o.atOnce, 1) {
			l.Neighbours()
		}
		this := &try{options: o}
		this.fleet = newFleet(l, tried{tcpnetSystem{bin: o.bin, cluster: clusterName()}, t, this})
		defer this.stop()
		figures, err = t.once(this)
	})
	if err == nil {
		err = fault
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", t.name, err)
	}
	if slices.ContainsFunc(figures, math.IsNaN) {
		fmt.Fprintf(os.Stderr, "%s: a run failed: %v\n", t.name, figures)
	}
	return figures, err
}

// tried is the system of a try.
type tried struct {
	tcpnetSystem
	trial trial
	try   *try
}

func (s tried) flags(place int) (f flags) {
	if s.trial.node != nil {
		f = s.trial.node(s.try, place)
	}
	if s.trial.busy {
		f.more = append(f.more, "-chat", (50 * time.Millisecond).String())
	}
	return f
}

func (s tried) id(place int) string {
	if id := s.flags(place).id; id != "" {
		return id
	}
	return s.tcpnetSystem.id(place)
}

func (s tried) command(l *lan, place int, id string) *exec.Cmd {
	cmd := s.tcpnetSystem.command(l, place, id)
	cmd.Args = append(cmd.Args, s.flags(place).more...)
	return cmd
}
