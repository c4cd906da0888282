//go:build linux && !shiftclock

package labtest

// shiftClock does nothing: Go's clock is the kernel's. See clock_test.go.
func shiftClock(int64) {}
