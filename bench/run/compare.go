package main

import (
	"errors"
	"fmt"
	"os"
)

// comparison is an item that measures each system again and again, alternately,
// on the same hosts.
type comparison struct {
	title string
	unit  string
	what  []string                  // names of the figures that once returns
	spare int                       // hosts beyond one for each node
	setup func(*lan, options) error // prepares the hosts of one case; may be nil

	// once measures s with n nodes once. An error ends the item; a run that
	// did not get where it should returns failed figures instead.
	once func(l *lan, s system, n int, o options) ([]float64, error)
}

// errBudget says that the time for the whole item is used up.
var errBudget = errors.New("the time is used up: raise -budget for more")

// measure runs the comparison and prints its table, also when it was cut short.
func (c comparison) measure(o options) error {
	t := newTable(os.Stdout, c.title, c.unit)
	defer t.end()
	for _, n := range o.n {
		if err := c.measureCase(t, n, o); err != nil {
			return err
		}
	}
	return nil
}

// measureCase measures all systems with n nodes.
func (c comparison) measureCase(t *table, n int, o options) error {
	l, err := newLAN(n + c.spare)
	if err != nil {
		return err
	}
	defer l.close()
	if c.setup != nil {
		if err := c.setup(l, o); err != nil {
			return err
		}
	}
	by := make([]map[string]sample, len(c.what))
	for i := range by {
		by[i] = make(map[string]sample)
	}
	err = c.runs(l, n, o, by)
	for i, what := range c.what {
		t.add(fmt.Sprintf("%d nodes, %s", n, what), o.names(), by[i])
	}
	return err
}

// runs fills by with the figures of all runs.
func (c comparison) runs(l *lan, n int, o options, by []map[string]sample) error {
	for run := range o.runs {
		for _, s := range o.order(run) {
			if o.spent() {
				return errBudget
			}
			figures, err := c.once(l, s, n, o)
			if err != nil {
				return err
			}
			for i, v := range figures {
				by[i][s.name()] = append(by[i][s.name()], v)
			}
		}
	}
	return nil
}

// fail returns n failed figures.
func fail(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = failed
	}
	return out
}
