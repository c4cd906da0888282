package netwatch

import "time"

const (
	// heartbeat is how often the clocks are compared.
	heartbeat = 2 * time.Second

	// nap is the sleep that goes unnoticed. Smaller steps of the wall clock
	// are corrections, and smaller delays a busy machine.
	nap = 5 * time.Second
)

// slept reports whether the machine slept or the process was stopped between
// two looks at the clocks that should be no more than a heartbeat apart, given
// how far each clock went.
//
// While a machine sleeps, the monotonic clock stands still on Linux and macOS,
// so that the wall clock gets ahead of it; on Windows both go on, so that the
// heartbeat comes late, as it does for a process that was stopped. Setting the
// wall clock forward looks like sleep, which does no harm.
func slept(wall, mono time.Duration) bool {
	return wall-mono > nap || mono > heartbeat+nap
}

// elapsed returns how far the wall clock and the monotonic clock went from a
// to b.
func elapsed(a, b time.Time) (wall, mono time.Duration) {
	return b.Round(0).Sub(a.Round(0)), b.Sub(a)
}
