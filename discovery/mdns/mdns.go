package mdns

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"example.com/tcpnet/discovery"
	"example.com/tcpnet/internal/netstack"
)

// goodbyeGap is the time between the two goodbyes of a node.
const goodbyeGap = 10 * time.Millisecond

// Options are what can be chosen of a [Discoverer]. The zero value is fit for
// use.
type Options struct {
	// Network is what is used of the machine. Nil means the real one, or the
	// simulated one that the context of Start belongs to.
	Network Network

	// Logger gets what people may want to know, such as why port 5353 is
	// not to be had. Nil means none. Nodes share an engine, which logs to
	// where the first of them does.
	Logger *slog.Logger
}

// Discoverer finds nodes by mDNS. The zero value is ready for use. It is safe for
// concurrent use and serves any number of nodes; those of one process share
// sockets and a cache, whichever Discoverer they were started with.
type Discoverer struct {
	options Options
	engine  atomic.Pointer[engine] // the last one used
}

var (
	_ discovery.Discoverer  = (*Discoverer)(nil)
	_ discovery.Reconfirmer = (*session)(nil)
)

// New returns a Discoverer.
func New(o Options) *Discoverer { return &Discoverer{options: o} }

func (d *Discoverer) network(ctx context.Context) Network {
	if d.options.Network != nil {
		return d.options.Network
	}
	if h, ok := netstack.From(ctx); ok {
		if h, ok := h.(interface{ MDNS() Network }); ok {
			return h.MDNS()
		}
	}
	return host{}
}

// Start announces self on all its interfaces and reports to sink what it finds.
// See [discovery.Discoverer]. The session implements [discovery.Reconfirmer].
//
// Nodes of one process are reported to one another directly. One that leaves is
// reported by nothing: connections tell that.
//
// Without port 5353, which happens where another program does not share it,
// nodes are found by asking, but others find this one only by other means. The port
// is tried again every minute.
func (d *Discoverer) Start(ctx context.Context, self discovery.Self, sink discovery.Sink) (io.Closer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	switch {
	case self.Cluster == "":
		return nil, errors.New("mdns: the cluster has no name")
	case !validID(self.ID):
		return nil, fmt.Errorf("mdns: %q is not an ID of 1 to %d hexadecimal digits", self.ID, maxTXT-len("id="))
	case self.Port == 0:
		return nil, errors.New("mdns: the node has no port")
	}
	log := d.options.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	n := d.network(ctx)
	e := engines.acquire(n, log)
	d.engine.Store(e)
	s := newSession(e, n, self, sink)
	e.do(func() { e.join(s) })
	return s, nil
}

// Stats returns what the engine has done that serves, or last served, the nodes
// started here.
func (d *Discoverer) Stats() Stats {
	if e := d.engine.Load(); e != nil {
		return e.counters.stats()
	}
	return Stats{}
}

// A session is a node that is announced and told of others.
type session struct {
	engine  *engine
	network Network
	self    discovery.Self
	node    *node
	report  *reporter
	once    sync.Once

	twinTold time.Time // when it was told of another with its own ID
}

func newSession(e *engine, network Network, self discovery.Self, sink discovery.Sink) *session {
	service, hashed := serviceType(self.Cluster)
	// The host name is one of the node's own. The machine's belongs to the
	// machine's responder, which would take us for an impostor (RFC 6762, 9).
	var random [8]byte
	rand.Read(random[:])
	s := &session{engine: e, network: network, self: self}
	s.node = &node{
		service:  service,
		instance: instanceLabel(self.ID) + "." + service,
		host:     hostPrefix + hex.EncodeToString(random[:]) + "." + domain,
		port:     self.Port,
		txt:      nodeTXT(self.Cluster, hashed, self.ID),
	}
	s.report = newReporter(self, hashed, func(index int) bool { return s.node.addrs[index] != nil }, sink)
	return s
}

// Close says goodbye, twice because either may be lost, and ends the session.
func (s *session) Close() error {
	s.once.Do(func() {
		var goodbye []transmission
		s.engine.do(func() { goodbye = s.engine.leave(s) })
		if len(goodbye) > 0 {
			time.Sleep(goodbyeGap)
			s.engine.do(func() { s.engine.transmit(goodbye) })
		}
		engines.release(s.network)
	})
	return nil
}

// Reconfirm implements [discovery.Reconfirmer].
func (s *session) Reconfirm(id string) { s.engine.post(func() { s.engine.reconfirm(s, id) }) }
