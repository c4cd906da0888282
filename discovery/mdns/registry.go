package mdns

import (
	"log/slog"
	"sync"
)

// engines are those that run, by the network they run on: the nodes of a process
// share one (RFC 6762, 15.3 and 15.4 tell why).
var engines = registry{slots: map[Network]*slot{}}

type registry struct {
	mu    sync.Mutex // guards slots and slot.users
	slots map[Network]*slot
}

// A slot holds the engine of one network while there are users of it.
type slot struct {
	users int

	mu     sync.Mutex // guards the rest; held while the engine starts and stops
	refs   int
	engine *engine
}

// acquire returns the engine of a network, started if need be. Each call is matched
// by one of release.
func (r *registry) acquire(n Network, log *slog.Logger) *engine {
	r.mu.Lock()
	s := r.slots[n]
	if s == nil {
		s = &slot{}
		r.slots[n] = s
	}
	s.users++
	r.mu.Unlock()

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.engine == nil {
		s.engine = startEngine(n, log)
	}
	s.refs++
	return s.engine
}

// release stops the engine of a network if nobody else uses it.
func (r *registry) release(n Network) {
	r.mu.Lock()
	s := r.slots[n]
	r.mu.Unlock()

	s.mu.Lock()
	if s.refs--; s.refs == 0 {
		s.engine.stop()
		s.engine = nil
	}
	s.mu.Unlock()

	r.mu.Lock()
	defer r.mu.Unlock()
	if s.users--; s.users == 0 {
		delete(r.slots, n)
	}
}
