package tcpnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"example.com/tcpnet/discovery"
	"example.com/tcpnet/internal/link"
	"example.com/tcpnet/internal/mesh"
	"example.com/tcpnet/internal/netstack"
	"example.com/tcpnet/internal/netwatch"
	"example.com/tcpnet/internal/secure"
)

// Node is one member of a cluster, made by [Join].
type Node struct {
	cfg     Config
	host    netstack.Host
	port    uint16
	bound   []netip.Addr  // what it listens on; empty: all addresses
	guard   *secure.Guard // nil: the cluster is open
	secrets bool          // the guard has secrets, not only certificates
	mesh    *mesh.Mesh    // set with mu held, and not changed after Join
	seeds   seedBook
	memory  *memory
	unwatch func()     // ends the watch for network changes
	looking sync.Mutex // held while network is brought up to date
	network atomic.Pointer[network]
	done    chan struct{} // closed when nothing is left running

	live    atomic.Pointer[[]*Conn] // what Connections returns; nil: has to be made anew
	senders sync.WaitGroup          // goroutines of connections

	// No sync.Once: who waits for another's call must wait on a channel, because
	// virtual time (testing/synctest) stands still while one waits for a mutex.
	closing     atomic.Bool
	withdrawing atomic.Bool
	withdrawn   chan struct{}

	mu       sync.Mutex // guards what follows
	sessions []io.Closer
	conns    map[ID]*Conn
	all      map[*Conn]struct{} // with those that have ended and are open still
	streams  map[*Stream]struct{}
	accept   []*Conn       // wait for Accept
	changed  chan struct{} // closed and replaced when one of the above changes
	subs     map[*subscription]struct{}
	early    []Event // rejections before the first call of Events
	watched  bool    // Events was called
	foreign  map[string]discovery.Foreign
	counters counters
	ended    bool
	emptied  chan struct{} // made and awaited by Close; closed when all and streams are empty
}

// Join makes a node of the cluster cfg.Name. It returns when the node listens and
// has announced itself; others may be connected by then or soon after. ctx bounds
// Join alone. The node runs until Shutdown or Close.
//
// An error says what is wrong with cfg or with the machine's network. Nothing is
// left behind then.
func Join(ctx context.Context, cfg Config) (*Node, error) {
	host := hostOf(ctx)
	cfg, err := cfg.withDefaults(host)
	if err != nil {
		return nil, err
	}
	secrets := len(cfg.Secrets) > 0
	guard, err := newGuard(&cfg)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("tcpnet: join %q: %w", cfg.Name, err)
	}
	n := &Node{
		cfg:       cfg,
		host:      host,
		guard:     guard,
		secrets:   secrets,
		done:      make(chan struct{}),
		withdrawn: make(chan struct{}),
		conns:     make(map[ID]*Conn),
		all:       make(map[*Conn]struct{}),
		streams:   make(map[*Stream]struct{}),
		changed:   make(chan struct{}),
		subs:      make(map[*subscription]struct{}),
		foreign:   make(map[string]discovery.Foreign),

		counters: newCounters(),
	}
	if n.memory, err = n.openMemory(); err != nil {
		return nil, fmt.Errorf("tcpnet: join %q: %w", cfg.Name, err)
	}
	listeners, err := host.Listen(ctx, cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("tcpnet: join %q: %w", cfg.Name, err)
	}
	for _, ln := range listeners {
		ap := ln.Addr().(*net.TCPAddr).AddrPort()
		n.port = ap.Port()
		if ip := ap.Addr().Unmap(); !ip.IsUnspecified() {
			n.bound = append(n.bound, ip)
		}
	}
	// Who watches from the beginning has to look only once, and so have others
	// in the process.
	n.unwatch = host.Watch(n.networkChanged)
	n.look()
	n.mu.Lock()
	n.mesh = mesh.New(n.meshConfig(listeners))
	n.mu.Unlock()
	n.memory.begin()
	self := discovery.Self{
		Cluster:    cfg.Name,
		ID:         string(cfg.ID),
		Port:       n.port,
		Addrs:      n.bound,
		Interfaces: cfg.Interfaces,
	}
	for _, d := range cfg.Discovery {
		s, err := d.Start(ctx, self, &finder{sink: (*sink)(n)})
		if err == nil && ctx.Err() != nil {
			s.Close()
			err = ctx.Err()
		}
		if err != nil {
			n.Close()
			return nil, fmt.Errorf("tcpnet: join %q: %w", cfg.Name, err)
		}
		n.mu.Lock()
		n.sessions = append(n.sessions, s)
		n.mu.Unlock()
	}
	for _, s := range cfg.Seeds {
		n.addSeed(s)
	}
	host.Started(n)
	return n, nil
}

// look finds out which interfaces the machine has.
func (n *Node) look() {
	n.looking.Lock()
	defer n.looking.Unlock()
	state, err := n.host.Interfaces()
	if err != nil {
		n.cfg.Logger.Warn("cannot list the network interfaces", "err", err)
	}
	n.see(state)
}

// meshConfig returns what the mesh needs to know.
func (n *Node) meshConfig(listeners []net.Listener) mesh.Config {
	cfg := mesh.Config{
		Name:      n.cfg.Name,
		ID:        link.ID(n.cfg.ID),
		Label:     n.cfg.Label,
		Meta:      n.cfg.Meta,
		Interval:  n.cfg.Liveness.Interval,
		Timeout:   n.cfg.Liveness.Timeout,
		Pending:   n.cfg.Limits.Pending,
		PerAddr:   n.cfg.Limits.PendingPerAddr,
		Dials:     n.cfg.Limits.Dials,
		Logger:    n.cfg.Logger,
		Guard:     n.guard,
		Listeners: listeners,
		Dial:      n.host.Dial,
		Resolve:   n.host.Resolve,
		Random:    n.host.Random(),
		Addrs:     n.Addrs,
		Usable:    n.usable,
		Reconfirm: n.reconfirm,
		Program:   (*program)(n),
	}
	if n.cfg.Admit != nil {
		cfg.Admit = func(ctx context.Context, p mesh.Peer) error { return n.cfg.Admit(ctx, peerInfo(p)) }
	}
	return cfg
}

func peerInfo(p mesh.Peer) PeerInfo {
	return PeerInfo{ID: ID(p.ID), Label: p.Label, Addr: p.Addr, Meta: p.Meta, Version: p.Version, TLS: p.TLS}
}

// ID returns the node's own ID.
func (n *Node) ID() ID { return n.cfg.ID }

// Addrs returns every address at which the node can be reached now, all with the
// same port. Link-local IPv6 addresses carry the name of their interface as zone.
func (n *Node) Addrs() []netip.AddrPort { return slices.Clone(n.network.Load().addrs) }

// network is what a node uses of its machine's network at one moment.
type network struct {
	state  netwatch.State
	addrs  []netip.AddrPort    // where the node can be reached
	usable map[netip.Addr]bool // addresses of the interfaces to use, with zones
}

// see takes a new state of the machine's network. It is called with looking held.
func (n *Node) see(state netwatch.State) {
	v := &network{state: state, usable: make(map[netip.Addr]bool)}
	for _, i := range state {
		if i.Flags&net.FlagUp == 0 || n.cfg.Interfaces != nil && !n.cfg.Interfaces(i.Interface) {
			continue
		}
		for _, p := range i.Prefixes {
			ip := p.Addr()
			if ip.Is6() && ip.IsLinkLocalUnicast() {
				ip = ip.WithZone(i.Name)
			}
			v.usable[ip] = true
			if len(n.bound) == 0 || slices.ContainsFunc(n.bound, func(b netip.Addr) bool { return b.WithZone("") == p.Addr() }) {
				v.addrs = append(v.addrs, netip.AddrPortFrom(ip, n.port))
			}
		}
	}
	if len(v.addrs) == 0 { // all interfaces are gone, or cannot be listed
		for _, ip := range n.bound {
			v.addrs = append(v.addrs, netip.AddrPortFrom(ip, n.port))
		}
	}
	n.network.Store(v)
}

// usable reports whether sockets may use an address of the machine.
func (n *Node) usable(local netip.Addr) bool {
	return n.cfg.Interfaces == nil || n.network.Load().usable[local]
}

// networkChanged is told by netwatch.
func (n *Node) networkChanged(e netwatch.Event) {
	n.looking.Lock()
	n.see(e.State)
	n.looking.Unlock()
	n.mu.Lock()
	m := n.mesh
	n.mu.Unlock()
	if m == nil { // Join has just begun
		return
	}
	m.NetworkChanged(func(a netip.Addr) bool {
		for _, i := range e.State {
			for _, p := range i.Prefixes {
				// An interface that is down keeps its IPv4 addresses and
				// carries nothing.
				if i.Flags&net.FlagUp != 0 && p.Addr() == a.WithZone("") || a.IsLoopback() {
					return false
				}
			}
		}
		return true
	})
	n.cfg.Logger.Info("network changed", "resumed", e.Resumed)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tellLocked(NetworkChanged{})
}

// Connections returns the live connections, at most one for each peer, ordered by
// the peer's ID.
func (n *Node) Connections() []*Conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.connectionsLocked()
}

func (n *Node) connectionsLocked() []*Conn {
	cs := make([]*Conn, 0, len(n.conns))
	for _, c := range n.conns {
		cs = append(cs, c)
	}
	slices.SortFunc(cs, func(a, b *Conn) int { return a.peer.ID.Compare(b.peer.ID) })
	return cs
}

// Connection returns the live connection to the peer with this ID, if there is one.
func (n *Node) Connection(id ID) (*Conn, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c, ok := n.conns[id]
	return c, ok
}

// Accept waits for the next new connection and returns it. Every connection is
// returned once, whoever dialled, in the order in which they came up; one that has
// ended meanwhile is still returned as long as what it brought can be read.
//
// The error is ctx's, ErrClosed when the node is closed, or ErrHandler.
func (n *Node) Accept(ctx context.Context) (*Conn, error) {
	if n.cfg.Handler != nil {
		return nil, ErrHandler
	}
	var c *Conn
	err := n.await(ctx, func() bool {
		if len(n.accept) == 0 {
			return false
		}
		c = n.accept[0]
		n.accept = slices.Delete(n.accept, 0, 1)
		return true
	})
	return c, err
}

// Wait waits until at least count connections are live. The error is ctx's, or
// ErrClosed when the node is closed.
func (n *Node) Wait(ctx context.Context, count int) error {
	return n.await(ctx, func() bool { return len(n.conns) >= count })
}

// await waits until ready, which is called with mu held, reports true.
func (n *Node) await(ctx context.Context, ready func() bool) error {
	for {
		n.mu.Lock()
		if n.ended {
			n.mu.Unlock()
			return ErrClosed
		}
		ok, changed := ready(), n.changed
		n.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// changedLocked wakes all who await something. It is called with mu held.
func (n *Node) changedLocked() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// Done is closed when the node is closed and nothing of it is left running.
func (n *Node) Done() <-chan struct{} { return n.done }

// Err returns nil while the node runs, and ErrClosed after Shutdown or Close.
func (n *Node) Err() error {
	select {
	case <-n.done:
		return ErrClosed
	default:
		return nil
	}
}

// forget takes a connection that is closed out of the books.
func (n *Node) forget(c *Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, open := n.all[c]; open {
		delete(n.all, c)
		n.counters.closed.add(c)
		n.closedLocked()
	}
	n.accept = slices.DeleteFunc(n.accept, func(a *Conn) bool { return a == c })
	if c.linger != nil {
		c.linger.Stop()
	}
}

// endLater ends a connection for a cause that its program or its socket has given,
// unless something else turns out to be the cause meanwhile.
func (n *Node) endLater(c *Conn, cause error) {
	n.mu.Lock()
	ended := c.ended.Load()
	if !ended && c.verdict == nil {
		c.verdict = time.AfterFunc(verdictTime, func() { c.link.Ended(cause) })
	}
	n.mu.Unlock()
	if ended {
		c.link.Ended(cause)
	}
}

// program is the node as its mesh sees it.
type program Node

// Up takes a new connection.
func (p *program) Up(up *mesh.Connection) {
	n := (*Node)(p)
	c := &Conn{raw: up.Net, node: n, peer: peerInfo(up.Peer), link: up, finished: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.out.init(c)
	up.User = c
	n.cfg.Logger.Info("joined", "peer", c.peer.ID, "label", c.peer.Label, "addr", c.peer.Addr)
	n.mu.Lock()
	if n.ended {
		n.mu.Unlock()
		c.raw.Close()
		return
	}
	n.counters.joined++
	n.conns[c.peer.ID] = c
	n.live.Store(nil)
	n.all[c] = struct{}{}
	if n.cfg.Handler == nil {
		n.accept = append(n.accept, c)
	}
	n.tellLocked(Joined{c})
	n.changedLocked()
	n.mu.Unlock()
	n.memory.changed()
	if n.cfg.Handler != nil {
		go n.cfg.Handler(c)
	}
}

// Down ends a connection.
func (p *program) Down(up *mesh.Connection, cause error) {
	n, c := (*Node)(p), up.User.(*Conn)
	if c.cut.Load() && errors.Is(cause, ErrClosed) { // the peer has noticed first
		cause = ErrReset
	}
	n.cfg.Logger.Info("left", "peer", c.peer.ID, "label", c.peer.Label, "reason", cause)
	n.mu.Lock()
	if n.conns[c.peer.ID] == c {
		delete(n.conns, c.peer.ID)
		n.live.Store(nil)
	}
	c.end(cause)
	closed := c.verdict != nil && c.verdict.Stop()
	if _, open := n.all[c]; open && !n.ended {
		n.lingerLocked(c)
	}
	n.counters.left[wordFor(cause, leftReasons)]++
	n.tellLocked(Left{c, cause})
	n.changedLocked()
	n.mu.Unlock()
	if closed { // the program has closed it already, and waited for the cause
		up.Ended(cause)
	}
}

// Lost ends the streams to a peer that is not there any more, which the system may take
// a quarter of an hour to find out.
func (p *program) Lost(peer link.ID, cause error) {
	n := (*Node)(p)
	var lost []*Stream
	n.mu.Lock()
	for s := range n.streams {
		if s.peer.ID == ID(peer) && s.opened.Over() { // not those of a new link
			lost = append(lost, s)
		}
	}
	n.mu.Unlock()
	for _, s := range lost {
		s.lose(cause)
	}
}

// Rejected tells of a peer that was not connected to.
func (p *program) Rejected(r mesh.Rejection) {
	n := (*Node)(p)
	level := slog.LevelWarn
	if errors.Is(r.Err, ErrDuplicateID) {
		level = slog.LevelError
	}
	n.cfg.Logger.Log(context.Background(), level, "rejected", "peer", r.Peer.ID, "label", r.Peer.Label, "addr", r.Peer.Addr, "err", r.Err)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.counters.rejected[wordFor(r.Err, rejectedReasons)]++
	n.tellLocked(Rejected{peerInfo(r.Peer), r.Err})
}

// sink is the node as discovery sees it.
type sink Node

// Found takes a candidate.
func (s *sink) Found(c discovery.Candidate) {
	id, err := link.ParseID(c.ID)
	if err != nil {
		return
	}
	c.ID = string(id)
	(*Node)(s).mesh.Found(c)
}

// Connected returns the peers, which discovery need not look for.
func (s *sink) Connected() map[string]netip.Addr {
	n := (*Node)(s)
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make(map[string]netip.Addr, len(n.conns))
	for id, c := range n.conns {
		all[string(id)] = c.peer.Addr.Addr()
	}
	return all
}

// maxForeign is how many foreign services are remembered.
const maxForeign = 256

// Foreign remembers a service that is not a node.
func (s *sink) Foreign(f discovery.Foreign) {
	n := (*Node)(s)
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, known := n.foreign[f.Name]; known || len(n.foreign) < maxForeign {
		f.Addrs = slices.Clone(f.Addrs)
		n.foreign[f.Name] = f
	}
}

// reconfirm tells discovery that nobody answered at a candidate.
func (n *Node) reconfirm(id link.ID) {
	n.mu.Lock()
	sessions := slices.Clone(n.sessions)
	n.mu.Unlock()
	for _, s := range sessions {
		if r, ok := s.(discovery.Reconfirmer); ok {
			r.Reconfirm(string(id))
		}
	}
}
