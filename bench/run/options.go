package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// options are the flags of a subcommand.
type options struct {
	n       counts        // numbers of nodes
	runs    int           // how often each case is measured
	limit   time.Duration // the longest that one run waits for one thing
	settle  time.Duration // rest between a full mesh and what is measured
	loss    int           // per cent of frames lost
	floor   []string      // further flags of the floor
	systems []system
	budget  time.Duration // for the whole item
	begun   time.Time
}

// counts is a flag of numbers with commas.
type counts []int

func (c *counts) String() string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint([]int(*c)), " ", ","), "[]")
}

func (c *counts) Set(s string) error {
	*c = nil
	for f := range strings.SplitSeq(s, ",") {
		n, err := strconv.Atoi(f)
		if err != nil || n < 1 {
			return fmt.Errorf("%q is not a number of nodes", f)
		}
		*c = append(*c, n)
	}
	return nil
}

// parse reads the flags of an item.
func parse(it item, args []string) (options, error) {
	o := it.with
	self, err := os.Executable()
	if err != nil {
		return o, err
	}
	fs := flag.NewFlagSet(it.name, flag.ExitOnError)
	fs.Var(&o.n, "n", "`numbers` of nodes, with commas")
	fs.IntVar(&o.runs, "runs", o.runs, "runs of each case and system")
	fs.DurationVar(&o.limit, "limit", o.limit, "the longest that one run waits for one thing")
	fs.DurationVar(&o.settle, "settle", o.settle, "rest between a full mesh and what is measured")
	fs.IntVar(&o.loss, "loss", o.loss, "per `cent` of frames lost at each receiver")
	fs.DurationVar(&o.budget, "budget", o.budget, "the longest that the whole item may take")
	only := fs.String("systems", "floor", "which `systems` to measure, with commas")
	bin := fs.String("bin", filepath.Dir(self), "`directory` of the measured programs")
	fs.Parse(args)
	o.begun = time.Now()
	for name := range strings.SplitSeq(*only, ",") {
		switch name {
		case "floor":
			o.systems = append(o.systems, floorSystem{bin: *bin, flags: o.floor})
		default:
			return o, fmt.Errorf("no system named %q", name)
		}
	}
	return o, nil
}

// names returns the names of the systems.
func (o options) names() []string {
	var names []string
	for _, s := range o.systems {
		names = append(names, s.name())
	}
	return names
}

// order returns the systems in the order of one run: each goes first in turn.
func (o options) order(run int) []system {
	k := run % len(o.systems)
	return append(append([]system(nil), o.systems[k:]...), o.systems[:k]...)
}

// spent says whether the time for the whole item is used up.
func (o options) spent() bool { return time.Since(o.begun) > o.budget }

// ms converts nanoseconds to milliseconds.
func ms(ns int64) float64 { return float64(ns) / 1e6 }
