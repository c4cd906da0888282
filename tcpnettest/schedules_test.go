package tcpnettest

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	schedules    = flag.Int("schedules", 200, "how many random schedules to carry out")
	scheduleSeed = flag.Uint64("schedule.seed", 1, "the seed of the first")
	scheduleSlow = flag.Duration("schedule.report", 0, "report every schedule that takes longer to settle than this")
)

// Whatever happens to a cluster, soon after it has ended all who can reach one
// another are connected, once, and nobody was told a lie. See world.
func TestSchedules(t *testing.T) {
	var slowest time.Duration
	var dials, datagrams, goroutines int
	begin := time.Now()
	for i := range *schedules {
		s := newSchedule(*scheduleSeed + uint64(i))
		watchdog := time.AfterFunc(time.Minute, func() { panic(fmt.Sprintf("schedule %d hangs", s.seed)) })
		w := carryOut(t, s, nil)
		watchdog.Stop()
		if len(w.violations) > 0 {
			t.Error(shrunk(t, w))
		}
		if *scheduleSlow > 0 && w.settled > *scheduleSlow {
			t.Logf("seed %d settled after %v", s.seed, w.settled)
		}
		slowest = max(slowest, w.settled-s.faults)
		dials, datagrams, goroutines = max(dials, w.dials), max(datagrams, w.datagrams), max(goroutines, w.goroutines)
	}
	t.Logf("%d schedules in %v; the slowest was well %v after twice the time of its faults; at most %d dials and %d datagrams by a host in %v, and %d goroutines",
		*schedules, time.Since(begin), slowest, dials, datagrams, sampleEvery, goroutines)
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

// One seed is one run: all packets, at the same times.
func TestSameSeedSameRun(t *testing.T) {
	for seed := *scheduleSeed; seed < *scheduleSeed+20; seed++ {
		s := newSchedule(seed)
		var runs [2][]string
		var sums [2]uint64
		for i := range runs {
			w := carryOut(t, s, func(line string) { runs[i] = append(runs[i], line) })
			sums[i] = w.lan.Fingerprint()
		}
		if sums[0] == sums[1] {
			continue
		}
		for i := range runs[0] {
			if i >= len(runs[1]) || runs[0][i] != runs[1][i] {
				from := max(i-5, 0)
				t.Errorf("seed %d:\n%s\n--- and then\n%s\n--- or\n%s", seed, strings.Join(runs[0][from:i], "\n"),
					strings.Join(runs[0][i:min(i+5, len(runs[0]))], "\n"), strings.Join(runs[1][i:min(i+5, len(runs[1]))], "\n"))
				break
			}
		}
	}
}
