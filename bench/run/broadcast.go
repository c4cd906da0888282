package main

import (
	"fmt"
	"syscall"
	"time"

	"example.com/tcpnet/bench/message"
	"example.com/tcpnet/bench/report"
)

// broadcast measures how fast one node sends messages to all others, and how long
// they are under way.
var broadcast = comparison{
	title: "one node sends to all others",
	unit:  "see the case",
	what: []string{
		"64 B as fast as possible: messages/s to each", "MB/s to all", "lost, per cent",
		"64 KiB as fast as possible: MB/s to all", "lost, per cent",
		"64 B at 1000/s: p50 us", "p99 us", "lost, per cent",
		"64 KiB at 100/s: p50 us", "p99 us", "lost, per cent",
	},
	once: func(l *lan, s system, n int, o options) ([]float64, error) {
		f := newFleet(l, s)
		defer f.stop()
		if ok, err := f.assemble(n, o); !ok {
			return nil, err
		}
		var figures []float64
		for i, rate := range []float64{0, 0, 1000, 100} {
			p := message.Phase{Number: uint(i), Size: o.messages[i], Rate: rate, For: o.window}
			r, err := f.broadcast(p, f.members[1:], o, nil)
			if err != nil {
				return nil, err
			}
			switch i {
			case 0:
				figures = append(figures, r.perSecond.median(), r.bytesPerSecond/1e6, r.lost)
			case 1:
				figures = append(figures, r.bytesPerSecond/1e6, r.lost)
			default:
				figures = append(figures, r.p50.median(), r.p99.median(), r.lost)
			}
		}
		return figures, nil
	},
}

// laggard measures what a node that does not read costs the others and the sender.
var laggard = comparison{
	title: "64 KiB at 150/s to all; then the last of the nodes is stopped, and the figures are the others'",
	unit:  "see the case",
	what: []string{
		"before: p50 us", "p99 us", "lost, per cent", "sender's resident MB",
		"stopped: p50 us", "p99 us", "lost, per cent", "sender's resident MB, at most",
	},
	once: func(l *lan, s system, n int, o options) ([]float64, error) {
		f := newFleet(l, s)
		defer f.stop()
		if ok, err := f.assemble(n, o); !ok {
			return nil, err
		}
		var figures []float64
		for i := range 2 {
			if i == 1 {
				f.members[n-1].signal(syscall.SIGSTOP)
			}
			var resident sample
			p := message.Phase{Number: uint(i), Size: o.messages[i], Rate: 150, For: o.window}
			r, err := f.broadcast(p, f.members[1:n-1], o, func() error {
				use, err := memoryOf(f.members[0].process.Cmd.Process.Pid)
				resident = append(resident, use.rssKB/1e3)
				return err
			})
			if err != nil {
				return nil, err
			}
			figures = append(figures, r.p50.median(), r.p99.median(), r.lost, resident.max())
		}
		return figures, nil
	},
}

// reception is what became of the messages of one phase.
type reception struct {
	perSecond      sample  // messages, of each receiver
	bytesPerSecond float64 // of all receivers
	p50, p99       sample  // of each receiver, microseconds
	lost           float64 // per cent
}

// quiet time after a phase: what is under way arrives.
const arrival = 500 * time.Millisecond

// broadcast lets the first node send the messages of a phase, and asks the given ones
// what has arrived. watch, if not nil, is called again and again meanwhile.
func (f *fleet) broadcast(p message.Phase, receivers []*member, o options, watch func() error) (reception, error) {
	sender := f.members[0]
	if err := sender.ask("broadcast " + p.String()); err != nil {
		return reception{}, err
	}
	var failed error
	if ok, err := f.wait(p.For+o.limit, func() bool {
		if watch != nil && failed == nil {
			failed = watch()
		}
		_, done := sender.result(p)
		return done || failed != nil
	}); err != nil || failed != nil || !ok {
		return reception{}, fmt.Errorf("%s: phase %d did not end: %w, %w", f.sys.name(), p.Number, err, failed)
	}
	time.Sleep(arrival)
	sent, _ := sender.result(p)
	total, err := sent.Value("sent")
	if err != nil {
		return reception{}, err
	}
	var r reception
	arrived := 0.0
	for _, m := range receivers {
		if err := m.ask(fmt.Sprintf("received %d", p.Number)); err != nil {
			return r, err
		}
		if ok, err := f.wait(o.limit, func() bool { _, done := m.result(p); return done }); err != nil || !ok {
			return r, fmt.Errorf("%s: node %s does not tell what it has received: %w", f.sys.name(), m.id, err)
		}
		got, _ := m.result(p)
		v := make(map[string]float64)
		for _, key := range []string{"received", "took", "p50", "p99"} {
			if v[key], err = got.Value(key); err != nil {
				return r, err
			}
		}
		arrived += v["received"]
		rate := v["received"] / (v["took"] / 1e9)
		r.perSecond = append(r.perSecond, rate)
		r.bytesPerSecond += rate * float64(p.Size)
		r.p50, r.p99 = append(r.p50, v["p50"]/1e3), append(r.p99, v["p99"]/1e3)
	}
	r.lost = 100 * (1 - arrived/(total*float64(len(receivers))))
	return r, nil
}

// result returns what a node has reported of a phase.
func (m *member) result(p message.Phase) (report.Event, bool) {
	for _, r := range m.results {
		if v, err := r.Value("phase"); err == nil && v == float64(p.Number) {
			return r, true
		}
	}
	return report.Event{}, false
}
