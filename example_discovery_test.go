package tcpnet_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/discovery"
	"example.com/tcpnet/discovery/mdns"
)

// Ways to find nodes combine: whichever leads to one of the others leads to all.
func Example_discovery() {
	node, err := tcpnet.Join(context.Background(), tcpnet.Config{
		Name: "garden",
		Addr: ":4000", // one port for all, as DNS records of hosts tell none
		Discovery: []discovery.Discoverer{
			mdns.New(mdns.Options{}),                          // on the local network
			discovery.DNS("tcpnet.default.svc.cluster.local"), // in Kubernetes
			discovery.DNS("garden.example.org:4000"),          // A and AAAA records
		},
		Seeds:     []string{"10.1.2.3:4000", "gate.example.org:4000"}, // looked up at each attempt
		StateFile: "/var/lib/garden/peers.json",                       // and those of the last time
	})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
}

// inventory is a discoverer of one's own: it finds nodes in a file with a "host:port"
// on each line, which some other program keeps up to date.
type inventory struct{ path string }

// Start announces nothing, as whoever writes the file knows all nodes. It looks into
// the file now and then until the session is closed.
func (i inventory) Start(ctx context.Context, self discovery.Self, sink discovery.Sink) (io.Closer, error) {
	s := &inventorySession{stop: make(chan struct{})}
	s.done.Go(func() {
		var known []netip.AddrPort
		for {
			if now, err := i.read(); err != nil {
				discovery.Logger(sink).Warn("cannot read the inventory", "err", err)
			} else {
				sink.Found(discovery.Candidate{Addrs: now, Source: "inventory"})
				gone := slices.DeleteFunc(known, func(a netip.AddrPort) bool { return slices.Contains(now, a) })
				if w, ok := sink.(discovery.Withdrawer); ok && len(gone) > 0 {
					w.Withdraw(gone)
				}
				known = now
			}
			select {
			case <-s.stop:
				return
			case <-time.After(10 * time.Second):
			}
		}
	})
	return s, nil
}

func (i inventory) read() (addrs []netip.AddrPort, err error) {
	text, err := os.ReadFile(i.path)
	for line := range strings.FieldsSeq(string(text)) {
		if a, err := netip.ParseAddrPort(line); err == nil {
			addrs = append(addrs, a)
		}
	}
	return addrs, err
}

type inventorySession struct {
	stop chan struct{}
	done sync.WaitGroup
}

// Close waits for what Start began: the sink is not called afterwards.
func (s *inventorySession) Close() error {
	close(s.stop)
	s.done.Wait()
	return nil
}

func ExampleConfig_ownDiscoverer() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "inventory")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := inventory{filepath.Join(dir, "nodes")}

	first, err := tcpnet.Join(ctx, tcpnet.Config{
		Name: "garden", Addr: "127.0.0.1:0", Label: "first", Discovery: []discovery.Discoverer{},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer first.Close()
	if err := os.WriteFile(file.path, fmt.Appendln(nil, first.Addrs()[0]), 0o600); err != nil {
		log.Fatal(err)
	}
	second, err := tcpnet.Join(ctx, tcpnet.Config{
		Name: "garden", Addr: "127.0.0.1:0", Label: "second", Discovery: []discovery.Discoverer{file},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer second.Close()
	conn, err := second.Accept(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(conn.Peer().Label)
	// Output: first
}
