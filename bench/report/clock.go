package report

import "golang.org/x/sys/unix"

// Now returns CLOCK_MONOTONIC in nanoseconds. Values taken by different
// processes of one machine can be compared.
func Now() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err) // every Linux has this clock
	}
	return ts.Nano()
}
