package main

// cold measures a start of n nodes together: from the first fork, and from the
// moment at which the last node listens.
var cold = comparison{
	title: "cold start: until every two nodes are connected",
	unit:  "ms",
	what:  []string{"from the first fork", "from the last ready"},
	once:  startTogether,
}

// loss is cold among hosts that lose a share of all frames.
var loss = comparison{
	title: "cold start while frames are lost: until every two nodes are connected",
	unit:  "ms",
	what:  []string{"from the first fork", "from the last ready"},
	setup: func(l *lan, o options) { l.Loss(o.loss) },
	once:  startTogether,
}

// startTogether starts n nodes and waits for the full mesh.
func startTogether(l *lan, s system, n int, o options) ([]float64, error) {
	f := newFleet(l, s)
	defer f.stop()
	if err := f.startAll(n); err != nil {
		return nil, err
	}
	at, full, err := f.waitFull(o.limit)
	if err != nil || !full {
		f.incomplete("at the time limit")
		return nil, err
	}
	var ready int64
	for _, m := range f.members {
		ready = max(ready, m.ready)
	}
	return []float64{ms(at - f.members[0].forked), ms(at - ready)}, nil
}
