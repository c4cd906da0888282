package main

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// insideKey is set in the environment of the harness's second self.
const insideKey = "TCPNET_BENCH_INSIDE"

// isolated runs f in a network namespace made for it, which has only loopback:
// the harness starts itself again inside. What f makes there ends with it.
func isolated(f func() error) error {
	if os.Getenv(insideKey) != "" {
		return f()
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c := exec.Command(self, os.Args[1:]...)
	c.Env = append(os.Environ(), insideKey+"=1")
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGTERM}
	err = c.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		os.Exit(exit.ExitCode()) // it has said why
	}
	return err
}
