package tcpnettest

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/tcpnet"
)

var (
	schedules     = flag.Int("schedules", defaultSchedules, "how many random schedules to carry out")
	scheduleSeed  = flag.Uint64("schedule.seed", 1, "the seed of the first")
	scheduleProcs = flag.Int("schedule.processes", runtime.NumCPU(), "how many processes share more than 400 of them")
)

// Whatever happens to a cluster, soon after it has ended all who can reach one
// another are connected, once, and nobody was told a lie. See world.
func TestSchedules(t *testing.T) {
	if *schedules > 400 && *scheduleProcs > 1 {
		inParts(t)
		return
	}
	var slowest time.Duration
	var dials, datagrams, goroutines, heap int
	begin := time.Now()
	for i := range *schedules {
		s := newSchedule(*scheduleSeed + uint64(i))
		watchdog := time.AfterFunc(10*time.Minute, func() { panic(fmt.Sprintf("schedule %d hangs", s.seed)) })
		w := carryOut(t, s, nil)
		watchdog.Stop()
		if len(w.violations) > 0 {
			t.Error(shrunk(t, w))
		}
		slowest = max(slowest, w.settled-s.faults)
		dials, datagrams = max(dials, w.dials), max(datagrams, w.datagrams)
		goroutines, heap = max(goroutines, w.goroutines), max(heap, w.heap, w.faultsHeap)
		if n := i + 1; n%1000 == 0 || n == *schedules {
			t.Logf("%d schedules from %d on in %v; the slowest was well %v after twice the time of its faults; "+
				"at most %d dials and %d datagrams by a host in %v, %d goroutines and %d kB",
				n, *scheduleSeed, time.Since(begin).Round(time.Second), slowest, dials, datagrams, sampleEvery, goroutines, heap/1000)
		}
	}
}

// inParts lets other processes carry out the schedules: one of them uses one
// processor.
func inParts(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var parts sync.WaitGroup
	for i, seed := 0, *scheduleSeed; i < *scheduleProcs; i++ {
		n := *schedules / *scheduleProcs
		if i < *schedules%*scheduleProcs {
			n++
		}
		cmd := exec.Command(exe, "-test.run", "^TestSchedules$", "-test.v", "-test.timeout", "0", "-schedule.processes", "1",
			"-schedules", fmt.Sprint(n), "-schedule.seed", fmt.Sprint(seed))
		// What a schedule leaves behind is little, and most of its goroutines are short.
		cmd.Env = append(os.Environ(), "GOGC=400", "GODEBUG=adaptivestackstart=1")
		seed += uint64(n)
		parts.Go(func() {
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			} else {
				t.Logf("%s", out)
			}
		})
	}
	parts.Wait()
}

// shrunk returns the report of a schedule that went wrong, without the steps that do
// not matter.
func shrunk(t *testing.T, w *world) string {
	kind := w.violations[0].kind
	fails := func(s schedule) *world {
		w := carryOut(t, s, nil)
		if slices.Contains(w.kinds(), kind) {
			return w
		}
		return nil
	}
	again := fails(w.s)
	var note string
	if again == nil {
		note = "(it went right when it was run once more)\n"
	}
	tries := 0
	for size := len(w.s.steps) / 2; size > 0 && again != nil; size /= 2 {
		for i := 0; i+size <= len(w.s.steps) && tries < 200; {
			tries++
			s := w.s
			s.steps = slices.Delete(slices.Clone(s.steps), i, i+size)
			if smaller := fails(s); smaller != nil {
				w = smaller
			} else {
				i += size
			}
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%sto see it again: go test ./tcpnettest -run TestSchedules -schedules 1 -schedule.seed %d\n%v", note, w.s.seed, w.s)
	for _, v := range w.violations {
		fmt.Fprintf(&b, "%s: %s\n", v.kind, v.text)
	}
	b.WriteString(strings.Join(w.lan.Trace(), "\n"))
	return b.String()
}

// One seed is one run: all packets, at the same times. A rest of chance is left, see
// the package's documentation.
func TestSameSeedSameRun(t *testing.T) {
	if shuffled {
		t.Skip("the race detector shuffles goroutines, and this is about their order")
	}
	const seeds = 20
	differ := 0
	for seed := *scheduleSeed; seed < *scheduleSeed+seeds; seed++ {
		s := newSchedule(seed)
		var runs [2][]string
		var sums [2]uint64
		for i := range runs {
			w := carryOut(t, s, func(line string) { runs[i] = append(runs[i], line) })
			sums[i] = w.lan.Fingerprint()
		}
		if sums[0] != sums[1] {
			differ++
			t.Logf("seed %d: %s", seed, parting(runs[0], runs[1]))
		}
	}
	if differ > seeds/4 {
		t.Errorf("%d of %d seeds went two ways", differ, seeds)
	}
}

// One seed is one run also where others look for a machine that is not there: its sockets
// ended in any order, and who had given it up for lost at the very instant at which the
// next SYN was due had sent that or not.
func TestSameSeedSameRunWithoutAMachine(t *testing.T) {
	if shuffled {
		t.Skip("the race detector shuffles goroutines, and this is about their order")
	}
	var first []string
	for i := range 8 {
		var wire []string
		RunSeed(t, 3, func(t *testing.T, lan *LAN) {
			lan.wire = func(line string) { wire = append(wire, line) }
			hosts := lan.Hosts(6)
			for _, h := range hosts {
				h.Join(tcpnet.Config{})
			}
			time.Sleep(time.Second)
			hosts[0].PowerOff()
			time.Sleep(20 * time.Second)
			hosts[0].PowerOn()
			hosts[0].Join(tcpnet.Config{})
			time.Sleep(time.Minute)
		})
		if i == 0 {
			first = wire
		} else if !slices.Equal(wire, first) {
			t.Fatal(parting(first, wire))
		}
	}
}

// parting tells where two runs begin to differ.
func parting(a, b []string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("after %d of %d lines: %s, or: %s", i, len(a), a[i], b[i])
		}
	}
	return fmt.Sprintf("%d lines, or %d", len(a), len(b))
}
