package tcpnet

import (
	"log/slog"
	"net/netip"
	"slices"
	"sync"

	"example.com/tcpnet/discovery"
)

// seedBook counts who wants an address without an ID to be dialled: Config.Seeds
// and each session of discovery. The zero value is empty.
type seedBook struct {
	mu    sync.Mutex // guards users
	users map[string]int
}

func (b *seedBook) add(seed string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.users == nil {
		b.users = make(map[string]int)
	}
	b.users[seed]++
}

// drop reports whether nobody wants the address any more.
func (b *seedBook) drop(seed string) (last bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.users[seed]--
	if last = b.users[seed] <= 0; last {
		delete(b.users, seed)
	}
	return last
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
		if a.IsValid() && a.Port() != 0 && !slices.Contains(own, a) && f.report(a) {
			n.mesh.AddSeed(a.String())
		}
	}
}

// report takes note of an address and reports whether there is room for it.
func (f *finder) report(a netip.AddrPort) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.reported[a]; known {
		return true
	}
	if len(f.reported) >= maxReported {
		return false
	}
	if f.reported == nil {
		f.reported = make(map[netip.AddrPort]struct{})
	}
	f.reported[a] = struct{}{}
	(*Node)(f.sink).seeds.add(a.String())
	return true
}

// Withdraw takes addresses back.
func (f *finder) Withdraw(addrs []netip.AddrPort) {
	n := (*Node)(f.sink)
	for _, a := range addrs {
		a = unmapped(a)
		f.mu.Lock()
		_, known := f.reported[a]
		delete(f.reported, a)
		f.mu.Unlock()
		if known && n.seeds.drop(a.String()) {
			n.mesh.DropSeed(a.String())
		}
	}
}

// Logger returns where the node tells people what happens. See [discovery.Logger].
func (f *finder) Logger() *slog.Logger { return f.cfg.Logger }

func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
