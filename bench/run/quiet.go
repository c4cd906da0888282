package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"
)

// quiet counts false alarms: nodes of both systems run while other processes
// keep all cores busy, and nothing goes. Every connection lost is a false one.
func quiet(o options) error {
	n := o.n[0]
	l, err := newLAN(n)
	if err != nil {
		return err
	}
	defer l.close()
	var fleets []*fleet
	for _, s := range o.systems {
		f := newFleet(l, s)
		defer f.stop()
		fleets = append(fleets, f)
		if ok, err := f.assemble(n, o); !ok {
			return fmt.Errorf("%s: no full mesh to begin with: %w", s.name(), err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for range o.burners * runtime.NumCPU() {
		c := exec.Command(self, "burn", "-window", (o.window + time.Minute).String())
		if err := c.Start(); err != nil {
			return err
		}
		defer c.Wait()
		defer c.Process.Kill()
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
		conns, lefts := f.seen.losses()
		missing, doubled := f.seen.missing(f.places())
		fmt.Printf("  %-8s %d connections lost, %d departures told, %d pairs missing and %d doubled at the end\n", f.sys.name(), conns, lefts, missing, doubled)
	}
	return nil
}

// burn keeps one core busy.
func burn(o options) error {
	for end := time.Now().Add(o.window); time.Now().Before(end); {
		for i := 0; i < 1<<20; i++ {
			spun++
		}
	}
	return nil
}

// spun gives burn something to do that the compiler keeps.
var spun uint64
