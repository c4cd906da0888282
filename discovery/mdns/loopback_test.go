package mdns

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/tcpnet/discovery"
	"go.uber.org/goleak"
)

// machine is a network of its own over the real one, so that several engines can
// run in one process.
type machine struct {
	host
	_ byte // pointers to values without a size may be equal
}

// A sink remembers what it was told.
type sink struct {
	mu      sync.Mutex
	found   []discovery.Candidate
	foreign []discovery.Foreign
	at      []time.Time
	closed  bool
	late    bool
	wake    chan struct{}
}

func newSink() *sink { return &sink{wake: make(chan struct{}, 1)} }

func (s *sink) Found(c discovery.Candidate) {
	s.mu.Lock()
	s.found = append(s.found, c)
	s.at = append(s.at, time.Now())
	s.late = s.late || s.closed
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *sink) Foreign(f discovery.Foreign) {
	s.mu.Lock()
	s.foreign = append(s.foreign, f)
	s.late = s.late || s.closed
	s.mu.Unlock()
}

func (s *sink) candidates(id string) (cs []discovery.Candidate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.found {
		if c.ID == id {
			cs = append(cs, c)
		}
	}
	return cs
}

// await returns the first candidate with an ID, waiting for it in real time.
func (s *sink) await(t *testing.T, id string) discovery.Candidate {
	t.Helper()
	deadline := time.After(5 * time.Second)
	for {
		if cs := s.candidates(id); len(cs) > 0 {
			return cs[0]
		}
		select {
		case <-s.wake:
		case <-deadline:
			t.Fatalf("%s was not found", id)
		}
	}
}

func loopbackOnly(i net.Interface) bool { return i.Flags&net.FlagLoopback != 0 }

func randomCluster() string {
	b := make([]byte, 5)
	rand.Read(b)
	return fmt.Sprintf("t%x", b)
}

func TestLoopback(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("multicast on loopback is not dependable here")
	}
	defer goleak.VerifyNone(t)
	for _, test := range []struct{ name, cluster string }{
		{"legal name", randomCluster()},
		{"any name", randomCluster() + " ünïcode, and longer than any service name may be"},
	} {
		t.Run(test.name, func(t *testing.T) {
			self := func(id string, port uint16) discovery.Self {
				return discovery.Self{Cluster: test.cluster, ID: id, Port: port, Interfaces: loopbackOnly}
			}
			a, b := New(Options{Network: &machine{}}), New(Options{Network: &machine{}})
			sa, sb := newSink(), newSink()
			one, err := a.Start(t.Context(), self("AA", 1001), sa)
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			two, err := b.Start(t.Context(), self("BB", 1002), sb)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("Start took %v", time.Since(begin))
			c := sa.await(t, "BB")
			t.Logf("announcement heard %v after Start began", sa.at[0].Sub(begin))
			if want := netip.MustParseAddrPort("127.0.0.1:1002"); c.Addrs[0] != want || !c.Announced {
				t.Errorf("AA was told of %+v, want it announced and %v first", c, want)
			}
			c = sb.await(t, "AA")
			if want := netip.MustParseAddrPort("127.0.0.1:1001"); c.Addrs[0] != want {
				t.Errorf("BB was told of %+v, want %v first", c, want)
			}
			if c := sa.candidates("AA"); len(c) > 0 {
				t.Errorf("AA was told of itself: %+v", c)
			}
			if err := two.Close(); err != nil {
				t.Error(err)
			}
			if err := one.Close(); err != nil {
				t.Error(err)
			}
			t.Logf("%+v", a.Stats())
		})
	}
}

// A node that listens on ::1 alone is announced with it, over IPv4.
func TestLoopbackIPv6(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("multicast on loopback is not dependable here")
	}
	defer goleak.VerifyNone(t)
	ifs, err := host{}.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	one := netip.MustParseAddr("::1")
	if !slices.ContainsFunc(ifs, func(i Interface) bool {
		return slices.ContainsFunc(i.Prefixes, func(p netip.Prefix) bool { return p.Addr() == one })
	}) {
		t.Skip("this machine has no ::1")
	}
	cluster := randomCluster()
	a, b := New(Options{Network: &machine{}}), New(Options{Network: &machine{}})
	sa := newSink()
	ca, err := a.Start(t.Context(), discovery.Self{Cluster: cluster, ID: "AA", Port: 1, Interfaces: loopbackOnly}, sa)
	if err != nil {
		t.Fatal(err)
	}
	defer ca.Close()
	cb, err := b.Start(t.Context(), discovery.Self{Cluster: cluster, ID: "BB", Port: 2, Addrs: []netip.Addr{one}}, newSink())
	if err != nil {
		t.Fatal(err)
	}
	defer cb.Close()
	if c := sa.await(t, "BB"); len(c.Addrs) != 1 || c.Addrs[0] != netip.AddrPortFrom(one, 2) {
		t.Errorf("AA was told of %v, want [::1]:2 alone", c.Addrs)
	}
}
