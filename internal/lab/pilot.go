//go:build linux

package lab

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// pilot is a thread that goes from namespace to namespace to start processes.
// A process inherits the namespace of the thread that starts it, so that no
// helper program has to be run first.
//
// It is one thread for the life of a lab, because the kernel kills its
// children when it ends: none outlives a program that was killed.
type pilot struct {
	work chan func()
	done sync.WaitGroup
}

func newPilot() *pilot {
	p := &pilot{work: make(chan func())}
	p.done.Go(func() {
		runtime.LockOSThread() // never unlocked: the thread ends here
		for f := range p.work {
			f()
		}
	})
	return p
}

// start starts cmd in the namespace.
func (p *pilot) start(ns *namespace, cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started := make(chan error)
	p.work <- func() {
		err := ns.enter()
		if err == nil {
			err = cmd.Start()
		}
		started <- err
	}
	return <-started
}

func (p *pilot) stop() {
	close(p.work)
	p.done.Wait()
}
