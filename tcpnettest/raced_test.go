//go:build race

package tcpnettest

// Under the race detector all is about six times slower.
const defaultSchedules = 40
