package tcpnet

import (
	"log/slog"
	"net/netip"
	"slices"
	"sync"

	"example.com/tcpnet/discovery"
)

// seedBook counts who wants an address without an ID to be dialled: Config.Seeds
// and each session of discovery. The mesh is told with mu held, so that it knows the
// same when one wants an address that another does not want any more. The zero value is
// empty.
type seedBook struct {
	mu    sync.Mutex // guards users
	users map[string]int
}

// addSeed has an address dialled, also for whoever asks now.
func (n *Node) addSeed(seed string) {
	b := &n.seeds
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.users == nil {
		b.users = make(map[string]int)
	}
	b.users[seed]++
	n.mesh.AddSeed(seed)
}

// dropSeed takes back one call of addSeed.
func (n *Node) dropSeed(seed string) {
	b := &n.seeds
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.users[seed]--; b.users[seed] <= 0 {
		delete(b.users, seed)
		n.mesh.DropSeed(seed)
	}
}

// maxReported is how many addresses without an ID one session may have reported at
// a time.
const maxReported = 1024

// finder is the sink of one session of discovery: it knows what that has reported.
type finder struct {
	*sink

	mu       sync.Mutex // guards reported
	reported map[netip.AddrPort]struct{}
}

var (
	_ discovery.Sink       = (*finder)(nil)
	_ discovery.Connected  = (*finder)(nil)
	_ discovery.Withdrawer = (*finder)(nil)
)

// Found takes a candidate. One address of several that discovery knows for all nodes
// alike is often the node's own: it is not worth an attempt.
func (f *finder) Found(c discovery.Candidate) {
	if c.ID != "" {
		f.sink.Found(c)
		return
	}
	n := (*Node)(f.sink)
	own := n.network.Load().addrs
	for _, a := range c.Addrs {
		a = unmapped(a)
		if a.IsValid() && a.Port() != 0 && !slices.Contains(own, a) {
			f.report(a)
		}
	}
}

// report has an address dialled that is new, if there is room for it.
func (f *finder) report(a netip.AddrPort) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.reported[a]; known {
		(*Node)(f.sink).mesh.AddSeed(a.String()) // there may have been no room for it
		return
	}
	if len(f.reported) >= maxReported {
		return
	}
	if f.reported == nil {
		f.reported = make(map[netip.AddrPort]struct{})
	}
	f.reported[a] = struct{}{}
	(*Node)(f.sink).addSeed(a.String())
}

// Withdraw takes addresses back.
func (f *finder) Withdraw(addrs []netip.AddrPort) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range addrs {
		a = unmapped(a)
		if _, known := f.reported[a]; known {
			delete(f.reported, a)
			(*Node)(f.sink).dropSeed(a.String())
		}
	}
}

// Logger returns where the node tells people what happens. See [discovery.Logger].
func (f *finder) Logger() *slog.Logger { return f.cfg.Logger }

func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
