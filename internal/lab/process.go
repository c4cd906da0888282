//go:build linux

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Process is a program that runs on a host. It is killed at the end of the lab;
// what it started itself is its own business.
type Process struct {
	// Cmd is the command as it was started. Use [Process.Wait] in place of
	// its Wait.
	Cmd *exec.Cmd

	host *Host
	done chan struct{} // closed when it has ended
	err  error         // from Wait, once done is closed
}

// Start starts cmd on the host. It costs no more than starting it without.
func (h *Host) Start(cmd *exec.Cmd) *Process {
	h.lab.t.Helper()
	if cmd.WaitDelay == 0 {
		cmd.WaitDelay = time.Second // for its children that hold its output
	}
	if err := h.lab.pilot.start(h.ns, cmd); err != nil {
		h.lab.t.Fatalf("lab: start on %s: %v", h.Name, err)
	}
	p := &Process{Cmd: cmd, host: h, done: make(chan struct{})}
	h.lab.mu.Lock()
	h.lab.processes = append(h.lab.processes, p)
	h.lab.mu.Unlock()
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
	}()
	return p
}

// Command returns a command that runs a program on the host, however it is
// started: it is nsenter(1) that becomes the program, which takes it a
// millisecond or two more than [Host.Start]. It does not end with the lab
// unless it was started with Start.
func (h *Host) Command(name string, args ...string) *exec.Cmd {
	ns := fmt.Sprintf("--net=/proc/%d/fd/%d", os.Getpid(), h.ns.file.Fd())
	return exec.Command("nsenter", append([]string{ns, "--", name}, args...)...)
}

// Wait waits for the end of the process and returns what [exec.Cmd.Wait] did.
func (p *Process) Wait() error {
	<-p.done
	return p.err
}

// Done returns a channel that is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Kill kills the process (SIGKILL) and waits for its end.
func (p *Process) Kill() {
	p.kill()
	<-p.done
}

func (p *Process) kill() { p.Cmd.Process.Kill() }

// Stop stops the process (SIGSTOP): it hangs, and its kernel answers for it.
func (p *Process) Stop() { p.Signal(syscall.SIGSTOP) }

// Continue lets a stopped process go on (SIGCONT).
func (p *Process) Continue() { p.Signal(syscall.SIGCONT) }

// Signal sends a signal to the process, which must be running.
func (p *Process) Signal(s os.Signal) {
	p.host.lab.t.Helper()
	if err := p.Cmd.Process.Signal(s); err != nil {
		p.host.lab.t.Fatalf("lab: %v to process on %s: %v", s, p.host.Name, err)
	}
}
