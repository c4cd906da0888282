//go:build linux

package lab

import (
	"fmt"
	"runtime"
	"sync"
)

// Run calls f with a T for a lab outside of tests, such as in a program that
// measures, and cleans up when f has returned, failed or panicked. It returns
// the failure.
func Run(f func(t T)) error {
	p := &program{}
	var done sync.WaitGroup
	done.Go(func() {
		defer p.clean()
		f(p)
	})
	done.Wait()
	return p.err
}

// program is a T whose failure ends the goroutine that it was made for.
type program struct {
	err      error
	cleanups []func()
}

func (p *program) Helper() {}

func (p *program) Fatalf(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
	runtime.Goexit()
}

func (p *program) Cleanup(f func()) { p.cleanups = append(p.cleanups, f) }

// clean runs the cleanups, the last one first, each of them even if another
// one fails.
func (p *program) clean() {
	for _, f := range p.cleanups {
		defer f()
	}
}
