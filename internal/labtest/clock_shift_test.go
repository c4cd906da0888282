//go:build linux && shiftclock

package labtest

import "time"

// shiftClock sets this process's wall clock forward by that many seconds. The
// function that it calls is added by clock_test.go.
func shiftClock(seconds int64) { time.ShiftWall(seconds) }
