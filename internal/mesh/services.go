package mesh

import (
	"fmt"
	"net"
	"sync"

	"example.com/tcpnet/internal/link"
)

// Stream is one that is open (PROTOCOL.md section 12).
type Stream struct {
	Net     net.Conn
	Peer    Peer
	Service string
	path    *path
}

// Lost returns why nobody is at the other end any more, or nil. Whoever takes a stream
// asks when Program.Lost would end it: it may have come too early to.
func (s *Stream) Lost() error {
	if cause := s.path.lost.Load(); cause != nil {
		return *cause
	}
	return nil
}

// backlog is how many streams may wait for one service to accept them, those that
// are being opened included.
const backlog = 128

// services are those of this node. The zero value has none.
type services struct {
	mu     sync.Mutex // guards what follows, and the services
	byName map[string]*Service
	closed bool
}

// Service is one that other nodes can open streams to.
type Service struct {
	Name  string
	set   *services
	taken int          // of the backlog
	ready chan *Stream // as many as the backlog, so that nobody waits to put one in
	done  chan struct{}
}

// listen makes a service.
func (t *services) listen(name string) (*Service, error) {
	if err := link.CheckService(name); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return nil, ErrClosed
	case t.byName[name] != nil:
		return nil, ErrServiceInUse
	}
	s := &Service{Name: name, set: t, ready: make(chan *Stream, backlog), done: make(chan struct{})}
	if t.byName == nil {
		t.byName = make(map[string]*Service)
	}
	t.byName[name] = s
	return s, nil
}

// names returns the names of all services, in no order.
func (t *services) names() (names []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name := range t.byName {
		names = append(names, name)
	}
	return names
}

// reserve keeps a place free for a stream that is being opened. If there is none, it
// returns the code that says why.
func (t *services) reserve(name string) (*place, link.Code) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.byName[name]
	switch {
	case t.closed:
		return nil, link.CodeLeaving
	case s == nil:
		return nil, link.CodeNoService
	case s.taken >= backlog:
		return nil, link.CodeServiceBusy
	}
	s.taken++
	return &place{service: s}, 0
}

// close closes all services, and lets none be made.
func (t *services) close() {
	t.mu.Lock()
	all := make([]*Service, 0, len(t.byName))
	for _, s := range t.byName {
		all = append(all, s)
	}
	t.closed = true
	t.mu.Unlock()
	for _, s := range all {
		s.Close()
	}
}

// place is one of a service's backlog. Either deliver or release ends it; what comes
// later does nothing.
type place struct {
	service *Service
	used    bool // guarded by services.mu
}

// deliver hands a stream to the service, or closes it if that is closed.
func (p *place) deliver(st *Stream) {
	s := p.service
	s.set.mu.Lock()
	defer s.set.mu.Unlock()
	p.used = true
	if s.closed() {
		st.Net.Close()
		return
	}
	s.ready <- st
}

// release gives the place back.
func (p *place) release() {
	p.service.set.mu.Lock()
	defer p.service.set.mu.Unlock()
	if !p.used {
		p.used = true
		p.service.taken--
	}
}

func (s *Service) closed() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// Over reports whether the link is gone that the stream was opened over.
func (s *Stream) Over() bool { return s.path.ctx.Err() != nil || s.path.lost.Load() != nil }

// Accept waits for the next stream. The error is net.ErrClosed.
func (s *Service) Accept() (*Stream, error) {
	select {
	case <-s.done: // nobody gets a stream after Close
		return nil, errServiceClosed
	default:
	}
	select {
	case <-s.done:
		return nil, errServiceClosed
	case st := <-s.ready:
		s.set.mu.Lock()
		s.taken--
		s.set.mu.Unlock()
		return st, nil
	}
}

// Close ends the service, and closes the streams that nobody has accepted. Only the
// first call returns nil.
func (s *Service) Close() error {
	s.set.mu.Lock()
	defer s.set.mu.Unlock()
	if s.closed() {
		return errServiceClosed
	}
	close(s.done)
	delete(s.set.byName, s.Name)
	for {
		select {
		case st := <-s.ready:
			st.Net.Close()
		default:
			return nil
		}
	}
}

// errServiceClosed is what programs that serve anything on a net.Listener look for.
var errServiceClosed = fmt.Errorf("the service is %w: %w", ErrClosed, net.ErrClosed)
