package main

import (
	"fmt"
	"os"

	"example.com/tcpnet/bench/report"
)

// cold measures a start of n nodes together: from the first fork, and from the
// moment at which the last node listens.
var cold = comparison{
	title: "cold start: until every two nodes are connected",
	unit:  "ms",
	what:  startedTogether,
	once:  startTogether,
}

// loss is cold among hosts that lose a share of all frames.
var loss = comparison{
	title: "cold start while frames are lost: until every two nodes are connected",
	unit:  "ms",
	what:  startedTogether,
	setup: func(l *lan, o options) { l.Loss(o.loss) },
	once:  startTogether,
}

// startedTogether are the figures of startTogether.
var startedTogether = []string{
	"from the first fork", "from the last ready", "CPU of the median node", "connections that ended again",
}

// startTogether starts n nodes and waits for the full mesh.
func startTogether(l *lan, s system, n int, o options) ([]float64, error) {
	f := newFleet(l, s)
	defer f.stop()
	if err := f.startAll(n, o.pace); err != nil {
		return nil, err
	}
	at, full, err := f.waitFull(o.limit)
	if err != nil || !full {
		f.incomplete("at the time limit")
		return nil, err
	}
	cpu, err := f.cpuTimes()
	if err != nil {
		return nil, err
	}
	if len(f.seen.alarms) > 0 {
		fmt.Fprintf(os.Stderr, "%s, %d nodes, while they started:\n", s.name(), n)
		f.seen.writeAlarms(os.Stderr)
	}
	var ready int64
	for _, m := range f.members {
		ready = max(ready, m.ready)
	}
	return []float64{
		ms(at - f.members[0].forked), ms(at - ready), milliseconds(cpu).median(), float64(f.seen.count(report.Gone)),
	}, nil
}
