package tcpnettest

import (
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Run runs f with a LAN of its own, in virtual time (see [synctest.Test]): time goes
// on when nothing moves any more, so that an hour takes as long as what happens in
// it. Nodes that f has not closed are closed when it returns. Nothing may be left
// running then.
//
// All randomness of the LAN and of the nodes on it comes from seed 1; use [RunSeed]
// to have another. A test that fails prints what was done to the LAN.
func Run(t *testing.T, f func(t *testing.T, lan *LAN)) {
	t.Helper()
	RunSeed(t, 1, f)
}

// RunSeed is Run with a seed.
//
// While it runs, the process uses one processor at a time ([runtime.GOMAXPROCS]),
// so that one seed gives one run: see the package's documentation for how far this
// goes.
func RunSeed(t *testing.T, seed uint64, f func(t *testing.T, lan *LAN)) {
	t.Helper()
	defer oneProcessor()()
	synctest.Test(t, func(t *testing.T) {
		l := newLAN(t, seed)
		defer func() {
			l.close()
			if t.Failed() {
				t.Logf("seed %d:\n%s", seed, strings.Join(l.Trace(), "\n"))
			}
		}()
		f(t, l)
	})
}

// processors is what GOMAXPROCS was before the first of the Runs that are under
// way.
var processors struct {
	mu   sync.Mutex // guards the rest
	runs int
	were int
}

func oneProcessor() (restore func()) {
	processors.mu.Lock()
	defer processors.mu.Unlock()
	if processors.runs++; processors.runs == 1 {
		processors.were = runtime.GOMAXPROCS(1)
	}
	return func() {
		processors.mu.Lock()
		defer processors.mu.Unlock()
		if processors.runs--; processors.runs == 0 {
			runtime.GOMAXPROCS(processors.were)
		}
	}
}

// close closes all nodes and listeners and ends the LAN.
func (l *LAN) close() {
	l.mu.Lock()
	var all sync.WaitGroup
	for _, h := range l.hosts {
		h.process.thaw()
		for _, n := range h.process.nodes {
			all.Go(func() { n.Close() })
		}
	}
	l.mu.Unlock()
	all.Wait()
	l.closing.Wait()
	time.Sleep(time.Millisecond) // what the LAN itself has begun ends: see process.Dial
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.hosts {
		h.process.kill(func(s *socket) { s.close() })
	}
	l.ended = true
	l.timer.Stop()
}
