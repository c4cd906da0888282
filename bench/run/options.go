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
	n        counts        // numbers of nodes
	runs     int           // how often each case is measured
	limit    time.Duration // the longest that one run waits for one thing
	settle   time.Duration // rest between a full mesh and what is measured
	pace     time.Duration // pause after each of many starts
	window   time.Duration // how long is watched
	away     time.Duration // how long a split lasts
	budget   time.Duration // the longest that the whole item may take
	loss     float64       // per cent of frames lost
	only     []string      // names of what is measured; none: all
	atOnce   int           // runs at the same time
	seed     uint64        // of what is left to chance; 0 chooses one
	burners  int           // busy processes for each core
	bytes    int64         // of one transfer
	messages counts        // sizes of the messages of each phase
	cut      string        // which of cuts
	liveness string        // which of livenesses
	floor    []string      // further flags of the floor
	bin      string        // directory of the measured programs
	compared string        // which systems to measure; with an item, what it measures if that is not said
	private  bool          // stream: with a secret, beside crypto/tls
	systems  []system
	begun    time.Time
}

// livenesses are how soon a silent peer is given up, for both systems alike.
// With none, the floor never gives one up and tcpnet does as it does by default.
var livenesses = map[string]struct{ interval, timeout time.Duration }{
	"default": {3 * time.Second, 10 * time.Second},
	"fast":    {500 * time.Millisecond, 2 * time.Second},
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
	fs.DurationVar(&o.pace, "pace", o.pace, "pause after each start of those that are there `first`")
	fs.DurationVar(&o.window, "window", o.window, "how long to watch (idle, quiet), or to send (broadcast, laggard)")
	fs.DurationVar(&o.window, "for", o.window, "the same as -window (soak)")
	fs.Uint64Var(&o.seed, "seed", o.seed, "what chance follows from; 0 chooses a seed, which is printed (soak)")
	fs.DurationVar(&o.away, "away", o.away, "how long the network is split")
	fs.DurationVar(&o.budget, "budget", o.budget, "begin no run after this long")
	fs.Float64Var(&o.loss, "loss", o.loss, "per `cent` of frames lost at each receiver")
	fs.StringVar(&o.cut, "how", o.cut, "how the cable is cut: carrier (the host notices), `silent` or down")
	fs.IntVar(&o.burners, "burners", o.burners, "busy processes for each core (quiet, soak)")
	fs.Int64Var(&o.bytes, "bytes", o.bytes, "`bytes` of one transfer (stream)")
	fs.StringVar(&o.liveness, "liveness", o.liveness, "how soon a silent peer is given up: default (3 s, 10 s), `fast` (0.5 s, 2 s) or none")
	fs.IntVar(&o.atOnce, "at-once", o.atOnce, "`runs` at the same time (reliability)")
	fs.Func("only", "the `names` of what is to be measured, with commas (reliability)", func(s string) error {
		o.only = strings.Split(s, ",")
		return nil
	})
	fs.StringVar(&o.bin, "bin", filepath.Dir(self), "`directory` of the measured programs")
	if o.compared == "" {
		o.compared = "floor,tcpnet"
	}
	fs.StringVar(&o.compared, "systems", o.compared, "which `systems` to measure, with commas: floor, floor2 (with two sockets for each pair), tcpnet, secret (tcpnet with one)")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("what is %q?", fs.Arg(0))
	}
	o.begun = time.Now()
	if _, known := cuts[o.cut]; o.cut != "" && !known {
		return o, fmt.Errorf("no way to cut a cable is called %q", o.cut)
	}
	o.systems, err = systemsNamed(o.compared, o)
	return o, err
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
