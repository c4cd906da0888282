package netwatch

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"example.com/tcpnet/internal/lab"
	"go.uber.org/goleak"
)

// watching is a subscription whose events are waited for.
type watching struct {
	t      *testing.T
	events chan Event
}

func watchKernel(t *testing.T) watching {
	w := watching{t, make(chan Event, 100)}
	t.Cleanup(Subscribe(func(e Event) { w.events <- e }))
	return w
}

// until waits for a state for which ok holds and returns how long it took.
func (w watching) until(what string, ok func(State) bool) time.Duration {
	w.t.Helper()
	begin := time.Now()
	for {
		select {
		case e := <-w.events:
			if e.Resumed {
				w.t.Errorf("Resumed is set")
			}
			if ok(e.State) {
				return time.Since(begin)
			}
		case <-time.After(5 * time.Second):
			w.t.Fatalf("no event: %s", what)
		}
	}
}

// find returns the interface called name, or one with index 0.
func (s State) find(name string) Interface {
	i := slices.IndexFunc(s, func(i Interface) bool { return i.Name == name })
	if i < 0 {
		return Interface{}
	}
	return s[i]
}

func (i Interface) has(prefix string) bool {
	return slices.Contains(i.Prefixes, netip.MustParsePrefix(prefix))
}

func TestChangesInTheKernel(t *testing.T) {
	if !lab.InFreshNamespace(t) {
		return
	}
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
	w := watchKernel(t)

	lab.IP(t, "link set lo up")
	took := w.until("loopback up", func(s State) bool { return s.find("lo").has("127.0.0.1/8") })
	if took > 2*time.Second {
		t.Errorf("it took %v: was this the poll?", took)
	}

	lab.IP(t, "link add near type veth peer name far", "address add 10.1.2.3/16 dev near")
	w.until("interface and address", func(s State) bool { return s.find("near").has("10.1.2.3/16") })

	lab.IP(t, "link set near up")
	w.until("up without a carrier", func(s State) bool {
		f := s.find("near").Flags
		return f&net.FlagUp != 0 && f&net.FlagRunning == 0
	})
	lab.IP(t, "link set far up")
	w.until("carrier", func(s State) bool { return s.find("near").Flags&net.FlagRunning != 0 })

	lab.IP(t, "address add fd00::1/64 dev near nodad")
	w.until("IPv6 address", func(s State) bool { return s.find("near").has("fd00::1/64") })

	lab.IP(t, "address del 10.1.2.3/16 dev near")
	w.until("address gone", func(s State) bool { return !s.find("near").has("10.1.2.3/16") })

	lab.IP(t, "link set near name renamed")
	w.until("renamed", func(s State) bool { return s.find("renamed").Index != 0 })

	lab.IP(t, "link del far")
	w.until("both ends gone", func(s State) bool { return s.find("renamed").Index == 0 && s.find("far").Index == 0 })
}

// An IPv6 address is reported when it can be bound to, which is a second or so
// after it was configured.
func TestTentativeAddressesAreLeftOut(t *testing.T) {
	if !lab.InFreshNamespace(t) {
		return
	}
	lab.IP(t, "link add near type veth peer name far")
	w := watchKernel(t)
	lab.IP(t, "link set far up", "link set near up", "address add fd00::1/64 dev near")
	if s, err := Snapshot(); err != nil || len(s.find("near").Prefixes) != 0 {
		t.Errorf("Snapshot: %v, %v; want near without addresses", s, err)
	}
	w.until("addresses", func(s State) bool { return s.find("near").has("fd00::1/64") })
	l, err := net.Listen("tcp", "[fd00::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

// The address of a point-to-point link is the near one.
func TestPointToPointAddress(t *testing.T) {
	if !lab.InFreshNamespace(t) {
		return
	}
	lab.IP(t, "link add near type veth peer name far", "address add 10.0.0.1 peer 10.0.0.2/32 dev near")
	s, err := Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if i := s.find("near"); len(i.Prefixes) != 1 || !i.has("10.0.0.1/32") {
		t.Errorf("addresses of near: %v", i.Prefixes)
	}
}

// A dump that takes several datagrams is complete.
func TestManyInterfaces(t *testing.T) {
	if !lab.InFreshNamespace(t) {
		return
	}
	var commands []string
	for i := range 100 {
		commands = append(commands,
			fmt.Sprintf("link add v%d type veth peer name w%d", i, i),
			fmt.Sprintf("address add 10.%d.0.1/24 dev v%d", i, i),
			fmt.Sprintf("address add 10.%d.0.2/24 dev w%d", i, i))
	}
	w := watchKernel(t)
	lab.IP(t, commands...)
	w.until("all", func(s State) bool {
		n := 0
		for _, i := range s {
			n += len(i.Prefixes)
		}
		return len(s) == 201 && n >= 200
	})
	got, err := Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	want, err := portableSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	if !got.Equal(want) {
		t.Errorf("Snapshot:\n%v\npackage net:\n%v", got, want)
	}
	r := testing.Benchmark(BenchmarkSnapshot)
	t.Logf("Snapshot of %d interfaces takes %v", len(got), time.Duration(r.NsPerOp()))
}
