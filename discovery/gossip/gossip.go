// Package gossip finds the nodes of a cluster by way of hashicorp/memberlist, for
// programs whose machines run it already. It works wherever memberlist does: across
// subnets, without multicast, with its encryption if it has a key.
//
// Each node is told of in the metadata of the member that its process is. That takes
// some 60 of the 512 bytes that memberlist allows for it.
//
//	cfg := memberlist.DefaultLANConfig()
//	list, finder, err := gossip.Create(cfg) // in place of memberlist.Create
//	…
//	list.Join([]string{"10.0.0.1"})
//	node, err := tcpnet.Join(ctx, tcpnet.Config{
//		Name:      "garden",
//		Discovery: []discovery.Discoverer{finder},
//	})
//
// The memberlist stays the program's: it is neither left nor shut down here. Leave the
// cluster first, then the memberlist. As always in discovery, what it believes of a
// member never ends a connection.
package gossip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"example.com/tcpnet/discovery"
)

// Discoverer finds nodes by a memberlist. It is safe for concurrent use and serves
// any number of nodes.
type Discoverer struct {
	delegate memberlist.Delegate      // the program's, or nil
	events   memberlist.EventDelegate // likewise

	// turn holds a value while memberlist updates the metadata of the member. It takes the
	// metadata first and numbers it later: of two updates at a time, the one with the older
	// metadata could get the higher number, and would be what the members believe.
	turn chan struct{}
	sent int // how many of those removed have been withdrawn; for who has the turn

	mu       sync.Mutex // guards what follows
	list     *memberlist.Memberlist
	sessions []*session
	removed  int               // sessions, so far
	members  map[string]seen   // those alive, by name
	starts   map[string]uint32 // of nodes that were told of, by cluster and ID
}

var _ discovery.Discoverer = (*Discoverer)(nil)

// seen is what a member has told of nodes. Only its events say so: what memberlist
// returns is changed while others read it.
type seen struct {
	addr    net.IP
	entries []entry
}

// maxStarts is how many nodes are told from their predecessors with the same ID.
const maxStarts = 4096

// New prepares cfg, from which no memberlist has been made yet, and returns the
// Discoverer that is to use that: call [Discoverer.Use] once it is made.
//
// New takes the place of cfg.Delegate and cfg.Events and passes on to them what is
// theirs; set them before. They see members with their own metadata, without what is
// added here, and so does [Meta].
func New(cfg *memberlist.Config) *Discoverer {
	d := &Discoverer{delegate: cfg.Delegate, events: cfg.Events, turn: make(chan struct{}, 1), members: make(map[string]seen), starts: make(map[string]uint32)}
	cfg.Delegate, cfg.Events = (*delegate)(d), (*events)(d)
	return d
}

// Use says which memberlist was made from the configuration given to [New].
func (d *Discoverer) Use(list *memberlist.Memberlist) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = list
}

// Create makes a memberlist from cfg and a Discoverer that uses it. See [New].
func Create(cfg *memberlist.Config) (*memberlist.Memberlist, *Discoverer, error) {
	d := New(cfg)
	list, err := memberlist.Create(cfg)
	if err != nil {
		return nil, nil, err
	}
	d.Use(list)
	return list, d, nil
}

// Meta returns the metadata of a member as its own program has set it.
func Meta(n *memberlist.Node) []byte {
	own, _ := split(n.Meta)
	return own
}

// announceTime is how long the news that a node is gone may take to be sent to some
// members, who pass it on.
const announceTime = 2 * time.Second

var errNoList = errors.New("gossip: there is no memberlist: call Use first")

// Start implements [discovery.Discoverer]. It fails if the metadata of the member has
// no room for the node.
func (d *Discoverer) Start(ctx context.Context, self discovery.Self, sink discovery.Sink) (io.Closer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := &session{
		owner: d, sink: sink, own: newEntry(self),
		more: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	d.mu.Lock()
	list := d.list
	var entries []entry
	for _, o := range d.sessions {
		entries = append(entries, o.own)
	}
	size := len(join(nil, append(entries, s.own)))
	switch {
	case list == nil:
		d.mu.Unlock()
		return nil, errNoList
	case size > memberlist.MetaMaxSize:
		d.mu.Unlock()
		return nil, fmt.Errorf("gossip: the member's metadata has no room for one more node: it would take %d bytes of %d", size, memberlist.MetaMaxSize)
	}
	d.sessions = append(d.sessions, s)
	for _, m := range d.members {
		s.look(m, false)
	}
	d.mu.Unlock()
	if inner := d.innerMeta(memberlist.MetaMaxSize); len(inner)+size > memberlist.MetaMaxSize {
		d.remove(s)
		return nil, fmt.Errorf("gossip: the member's own metadata, of %d bytes, leaves no room for %d", len(inner), size)
	}
	s.done.Go(s.run)
	// This may have to wait for its turn. Meanwhile the others can be found.
	s.done.Go(func() { d.announce(list) })
	return s, nil
}

// announce has memberlist tell of the sessions, without waiting until it has.
func (d *Discoverer) announce(list *memberlist.Memberlist) {
	d.turn <- struct{}{}
	defer func() { <-d.turn }()
	list.UpdateNode(1) // as short as can be; 0 is without a limit
}

// remove removes a session and returns how many have been.
func (d *Discoverer) remove(s *session) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sessions = slices.DeleteFunc(d.sessions, func(o *session) bool { return o == s })
	d.removed++
	return d.removed
}

// withdraw has memberlist tell that a session was removed, as the nth, and waits until
// that was sent. Those that wait for their turn meanwhile go together.
func (d *Discoverer) withdraw(nth int) {
	d.turn <- struct{}{}
	defer func() { <-d.turn }()
	if d.sent >= nth {
		return
	}
	d.mu.Lock()
	list, removed := d.list, d.removed
	d.mu.Unlock()
	list.UpdateNode(announceTime)
	d.sent = removed
}

// innerMeta returns the metadata of the program's own.
func (d *Discoverer) innerMeta(limit int) []byte {
	if d.delegate == nil {
		return nil
	}
	return d.delegate.NodeMeta(limit)
}

// look takes what a member tells. It is called with memberlist's locks held.
func (d *Discoverer) look(n *memberlist.Node) {
	_, entries := split(n.Meta)
	m := seen{addr: slices.Clone(n.Addr), entries: entries}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.members[n.Name] = m
	again := false // a node has taken the place of one with the same ID
	for _, e := range entries {
		key := e.key()
		start, known := d.starts[key]
		again = again || known && start != e.start
		if !known && len(d.starts) >= maxStarts {
			d.forget()
		}
		if known || len(d.starts) < maxStarts {
			d.starts[key] = e.start
		}
	}
	for _, s := range d.sessions {
		s.look(m, again)
	}
}

// forget makes room in starts: it drops the nodes that no member tells of any more.
func (d *Discoverer) forget() {
	told := make(map[string]bool)
	for _, m := range d.members {
		for _, e := range m.entries {
			told[e.key()] = true
		}
	}
	maps.DeleteFunc(d.starts, func(key string, _ uint32) bool { return !told[key] })
}

// left takes that a member is there no longer.
func (d *Discoverer) left(n *memberlist.Node) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.members, n.Name)
}

// all returns the sessions.
func (d *Discoverer) all() []*session {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.sessions)
}

// A session is a node that is told of and told about others.
type session struct {
	owner *Discoverer
	sink  discovery.Sink
	own   entry
	more  chan struct{} // there is something in queue
	stop  chan struct{}
	once  sync.Once
	done  sync.WaitGroup

	mu    sync.Mutex // guards queue
	queue []discovery.Candidate
}

// look queues the nodes of a member that are of the session's cluster.
func (s *session) look(m seen, announced bool) {
	for _, e := range m.entries {
		if e.cluster == s.own.cluster && e.id != s.own.id {
			if c, ok := e.candidate(m.addr); ok {
				c.Announced = announced
				s.put(c)
			}
		}
	}
}

// put queues a candidate: the sink is not called while anybody holds a lock.
func (s *session) put(c discovery.Candidate) {
	s.mu.Lock()
	s.queue = append(s.queue, c)
	s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
}

func (s *session) run() {
	for {
		select {
		case <-s.stop:
			return
		case <-s.more:
		}
		s.mu.Lock()
		queue := s.queue
		s.queue = nil
		s.mu.Unlock()
		for _, c := range queue {
			s.sink.Found(c)
		}
	}
}

// Close withdraws the node. The other members hear of it within a moment if the
// memberlist runs still.
func (s *session) Close() error {
	s.once.Do(func() {
		nth := s.owner.remove(s)
		close(s.stop)
		s.owner.withdraw(nth)
	})
	s.done.Wait()
	return nil
}
