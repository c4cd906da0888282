//go:build linux && !race

package labtest

// raceEnabled is whether the test binary, and with it all nodes, is built to
// detect data races. It is bigger and slower then.
const raceEnabled = false

// slowdown is how much longer things may take then.
const slowdown = 1
