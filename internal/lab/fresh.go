//go:build linux

package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// InFreshNamespace runs the calling test again, in a process of its own with a network
// namespace of its own, and reports whether this is that process. It is for tests of
// what a process does with the interfaces of its machine.
func InFreshNamespace(t interface {
	Helper()
	Name() string
	Skip(args ...any)
	Fatal(args ...any)
	Errorf(format string, args ...any)
}) bool {
	t.Helper()
	const marker = "LAB_NAMESPACE_OF"
	if os.Getenv(marker) == t.Name() {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), marker+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	switch ended := (*exec.ExitError)(nil); {
	case err == nil:
	case errors.As(err, &ended):
		t.Errorf("in its namespace: %v\n%s", err, out)
	default:
		reason := fmt.Sprintf("needs a network namespace of its own (run as root): %v", err)
		if os.Getenv("CI") == "true" {
			t.Fatal(reason)
		}
		t.Skip(reason)
	}
	return false
}

// IP runs ip(8) with commands as in a batch file, in the namespace of the process.
func IP(t T, commands ...string) {
	t.Helper()
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ip: %v\n%s", err, out)
	}
}
