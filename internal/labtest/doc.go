// Package labtest has nothing but tests: they run real processes on the hosts of
// a lab (package lab) and expect of them what users would.
//
// Most nodes are the test binary itself, started again as a program that joins a
// cluster and tells, line by line, all that happens to it (node_test.go). What
// users do by hand is done with the real command, which is built once per run.
//
//	go test ./internal/labtest                  # as root, a minute and a half
//	go test ./internal/labtest -labtest.long    # all that takes longer, too
//	go test ./internal/labtest -labtest.clock   # clocks that jump: builds Go's standard library anew
//	go test -race ./internal/labtest            # all processes, the command too, watched for races
//
// Nothing of it touches the machine's own network. See [lab.Require] for what a
// machine needs.
package labtest
