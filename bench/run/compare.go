package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
)

// comparison is an item that measures each system again and again, alternately,
// on the same hosts.
type comparison struct {
	title string
	unit  string
	what  []string            // names of the figures that once returns
	spare int                 // hosts beyond one for each node
	setup func(*lan, options) // prepares the hosts of one case; may be nil

	// once measures s with n nodes once. A run that did not get where it
	// should returns no figures; figures that s does not have are left out at
	// the end. An error ends the item.
	once func(l *lan, s system, n int, o options) ([]float64, error)
}

// errBudget says that the time for the whole item is used up.
var errBudget = errors.New("the time is used up: raise -budget for more")

// measured are the samples of one case: for each of the comparison's figures,
// by the system's name.
type measured []map[string]sample

// measure runs the comparison and prints its table, also when it was cut short.
func (c comparison) measure(o options) error {
	_, err := c.collect(o)
	return err
}

// collect is measure for those who want the figures, too: one measured for
// each of o.n.
func (c comparison) collect(o options) ([]measured, error) {
	t := newTable(os.Stdout, c.title, c.unit)
	defer t.end()
	var cases []measured
	for _, n := range o.n {
		by, err := c.measureCase(n, o)
		for i, what := range c.what {
			t.add(fmt.Sprintf("N=%d: %s", n, what), o.names(), by[i])
		}
		if err != nil {
			return cases, err
		}
		cases = append(cases, by)
	}
	return cases, nil
}

// measureCase measures all systems with n nodes.
func (c comparison) measureCase(n int, o options) (measured, error) {
	by := make(measured, len(c.what))
	for i := range by {
		by[i] = make(map[string]sample)
	}
	return by, onLAN(n+c.spare, func(l *lan) error {
		if c.setup != nil {
			c.setup(l, o)
		}
		return c.runs(l, n, o, by)
	})
}

// runs fills by with the figures of all runs.
func (c comparison) runs(l *lan, n int, o options, by measured) error {
	for run := range o.runs {
		for _, s := range o.order(run) {
			if o.spent() {
				return errBudget
			}
			l.forget()
			figures, err := c.once(l, s, n, o)
			if err != nil {
				return err
			}
			if figures == nil {
				figures = slices.Repeat([]float64{failed}, len(c.what))
			}
			for i, v := range figures {
				by[i][s.name()] = append(by[i][s.name()], v)
			}
		}
	}
	return nil
}
