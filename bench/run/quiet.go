package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"

	"example.com/tcpnet/bench/report"
)

// quiet counts false alarms: nodes of both systems run while other processes
// keep all cores busy, and nothing goes. Every connection lost is a false one.
func quiet(o options) error {
	return onLAN(o.n[0], func(l *lan) error { return quietOn(l, o) })
}

func quietOn(l *lan, o options) error {
	n := len(l.hosts)
	var fleets []*fleet
	for _, s := range o.systems {
		f := newFleet(l, s)
		defer f.stop()
		fleets = append(fleets, f)
		if ok, err := f.assemble(n, o); !ok {
			return errors.Join(fmt.Errorf("%s: no full mesh to begin with", s.name()), err)
		}
	}
	stop, err := busy(o)
	defer stop()
	if err != nil {
		return err
	}
	for _, f := range fleets {
		f.seen.calm()
	}
	fmt.Printf("%d nodes of each system for %v beside %d busy processes for each of %d cores\n", n, o.window, o.burners, runtime.NumCPU())
	for end := time.Now().Add(o.window); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		for _, f := range fleets {
			if err := f.drain(); err != nil {
				return err
			}
		}
	}
	for _, f := range fleets {
		missing, doubled := f.seen.missing(f.places())
		fmt.Printf("%s: %d connections lost, %d departures told; at the end %d pairs missing, %d doubled\n",
			f.sys.name(), f.seen.count(report.Gone), f.seen.count(report.Left), missing, doubled)
		f.seen.writeAlarms(os.Stdout)
	}
	return nil
}

// busy starts processes that keep the cores busy until stop is called.
func busy(o options) (stop func(), err error) {
	var running []*exec.Cmd
	stop = func() {
		for _, c := range running {
			c.Process.Kill()
			c.Wait()
		}
	}
	self, err := os.Executable()
	for i := 0; err == nil && i < o.burners*runtime.NumCPU(); i++ {
		c := exec.Command(self, "burn", "-window", (o.window + time.Minute).String())
		if err = c.Start(); err == nil {
			running = append(running, c)
		}
	}
	return stop, err
}

// burn keeps one core busy.
func burn(o options) error {
	spun := uint64(0)
	for end := time.Now().Add(o.window); time.Now().Before(end); {
		for range 1 << 20 {
			spun++
		}
	}
	runtime.KeepAlive(spun)
	return nil
}
