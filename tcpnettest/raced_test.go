//go:build race

package tcpnettest

// Under the race detector all is about six times slower.
const defaultSchedules = 40

// It also starts goroutines that are ready at the same instant in an order of its own.
const shuffled = true
