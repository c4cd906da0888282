package tcpnet_test

import (
	"context"
	"io"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/discovery"
)

// A guide is a discoverer that tells a node what the test tells it.
type guide struct{ discovery.Sink }

func (g *guide) Start(_ context.Context, _ discovery.Self, sink discovery.Sink) (io.Closer, error) {
	g.Sink = sink
	return io.NopCloser(nil), nil
}

func (g *guide) found(addrs ...string) { g.Found(discovery.Candidate{Addrs: parse(addrs)}) }

func (g *guide) withdraw(addrs ...string) { g.Sink.(discovery.Withdrawer).Withdraw(parse(addrs)) }

func parse(texts []string) (addrs []netip.AddrPort) {
	for _, s := range texts {
		addrs = append(addrs, netip.MustParseAddrPort(s))
	}
	return addrs
}

func seeds(n *tcpnet.Node) (all []string) {
	for _, s := range n.Status().Seeds {
		all = append(all, s.Addr)
	}
	slices.Sort(all)
	return all
}

func TestAddressesWithoutAnID(t *testing.T) {
	name := cluster()
	b := join(t, tcpnet.Config{Name: name, Discovery: []discovery.Discoverer{}})
	addr := b.Addrs()[0].String()
	var g, h guide
	a := join(t, tcpnet.Config{Name: name, Discovery: []discovery.Discoverer{&g, &h}, Seeds: []string{"127.0.0.1:1"}})
	own := a.Addrs()[0].String()
	g.found(own, addr, "127.0.0.1:2", "127.0.0.1:0", "[::ffff:127.0.0.1]:3", addr)
	wait(t, a, 1)
	// Its own address and what is none are left out.
	if got, want := seeds(a), []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", addr}; !slices.Equal(got, sorted(want)) {
		t.Errorf("seeds are %v, want %v", got, want)
	}
	// What two have named is dropped when both have withdrawn it, and what the
	// program has named never.
	h.found(addr, "127.0.0.1:2", "127.0.0.1:1")
	g.withdraw("127.0.0.1:2", "127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:9", addr)
	if got, want := seeds(a), []string{"127.0.0.1:1", "127.0.0.1:2", addr}; !slices.Equal(got, sorted(want)) {
		t.Errorf("seeds are %v, want %v", got, want)
	}
	h.withdraw("127.0.0.1:1", "127.0.0.1:2", addr)
	if got := seeds(a); !slices.Equal(got, []string{"127.0.0.1:1"}) {
		t.Errorf("seeds are %v", got)
	}
	// Nobody is cut off by that.
	if c, ok := a.Connection(b.ID()); !ok || c.Context().Err() != nil {
		t.Error("the connection is gone")
	}
}

// An address that one discoverer takes back while another names it is dialled.
func TestAddressTakenBackAndNamedAtOnce(t *testing.T) {
	const addr = "127.0.0.1:1"
	var g, h guide
	a := join(t, tcpnet.Config{Name: cluster(), Discovery: []discovery.Discoverer{&g, &h}})
	for range 300 {
		h.found(addr)
		var both sync.WaitGroup
		both.Go(func() { h.withdraw(addr) })
		both.Go(func() { g.found(addr) })
		both.Wait()
		if got := seeds(a); !slices.Equal(got, []string{addr}) {
			t.Fatalf("seeds are %v", got)
		}
		if g.withdraw(addr); len(seeds(a)) > 0 {
			t.Fatalf("nobody wants %v", seeds(a))
		}
	}
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

func TestOneDiscovererIsToldOnlyOfItsNode(t *testing.T) {
	name := cluster()
	var g guide
	a := join(t, tcpnet.Config{Name: name, Discovery: []discovery.Discoverer{&g}, Label: "a"})
	if discovery.Logger(g.Sink) == nil || discovery.Logger(nil) == nil {
		t.Error("no logger")
	}
	if n := len(g.Sink.(discovery.Connected).Connected()); n != 0 {
		t.Errorf("connected with %d", n)
	}
	b := join(t, tcpnet.Config{Name: name, Discovery: []discovery.Discoverer{}})
	g.found(b.Addrs()[0].String())
	wait(t, a, 1)
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if _, ok := g.Sink.(discovery.Connected).Connected()[string(b.ID())]; ok {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the discoverer is not told of the connection")
		}
	}
}
