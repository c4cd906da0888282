package tcpnettest_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/tcpnettest"
)

// join joins a node on each of the hosts.
func join(hosts ...*tcpnettest.Host) (nodes []*tcpnet.Node) {
	for _, h := range hosts {
		nodes = append(nodes, h.Join(tcpnet.Config{}))
	}
	return nodes
}

func TestMeshInMilliseconds(t *testing.T) {
	tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
		nodes := join(lan.Hosts(10)...)
		time.Sleep(20 * time.Millisecond)
		if err := tcpnettest.Meshed(nodes...); err != nil {
			t.Error(err)
		}
		synctest.Wait() // the LAN leaves it to the test
	})
}

// What is between two hosts does not hinder a third.
func TestNotTransitive(t *testing.T) {
	tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
		h := lan.Hosts(3)
		lan.Cut(h[0], h[2])
		nodes := join(h...)
		time.Sleep(time.Minute)
		if err := tcpnettest.Meshed(nodes...); err == nil {
			t.Error("h1 and h3 are connected, though nothing passes between them")
		}
		for i := range 2 {
			if _, ok := nodes[i].Connection(nodes[i+1].ID()); !ok {
				t.Errorf("h%d and h%d are not connected", i+1, i+2)
			}
		}
	})
}

// Hosts on different switches meet only through one that is on both, and see none but
// that.
func TestSwitches(t *testing.T) {
	tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
		second := lan.Switch()
		h := lan.Hosts(3)
		h[1].Attach(second)
		h[2].Detach("eth0")
		h[2].Attach(second)
		nodes := join(h...)
		time.Sleep(time.Minute)
		for i, want := range []int{1, 2, 1} {
			if n := len(nodes[i].Connections()); n != want {
				t.Errorf("h%d has %d connections", i+1, n)
			}
		}
		h[0].Attach(second)
		time.Sleep(5 * time.Second)
		if err := tcpnettest.Meshed(nodes...); err != nil {
			t.Error(err)
		}
	})
}

func TestCrashedProcessIsGone(t *testing.T) {
	tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
		a, b := lan.Host("a"), lan.Host("b")
		ctx := a.Context(t.Context())
		na, nb := a.Join(tcpnet.Config{}), b.Join(tcpnet.Config{})
		time.Sleep(time.Second)
		a.Crash()
		<-ctx.Done()
		<-na.Done()
		time.Sleep(time.Second)
		if n := len(nb.Connections()); n != 0 {
			t.Errorf("b has %d connections", n)
		}
		if _, err := tcpnet.Join(ctx, tcpnet.Config{Name: "late"}); err == nil {
			t.Error("a process that was killed has joined")
		}
		na = a.Join(tcpnet.Config{})
		time.Sleep(time.Second)
		if err := tcpnettest.Meshed(na, nb); err != nil {
			t.Error(err)
		}
	})
}

// Nodes that come and go by the hundred leave nothing behind in those that stay.
func TestMemoryStaysFlat(t *testing.T) {
	tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
		h := lan.Hosts(4)
		nodes := join(h...)
		churn := func(times int) (heap uint64, goroutines int) {
			for range times {
				nodes[3].Close()
				time.Sleep(5 * time.Second)
				nodes[3] = h[3].Join(tcpnet.Config{})
				time.Sleep(5 * time.Second)
			}
			time.Sleep(time.Minute)
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			return m.HeapAlloc, runtime.NumGoroutine()
		}
		heap, goroutines := churn(60)
		after, left := churn(240)
		t.Logf("after 60 nodes %d bytes and %d goroutines, after 300 %d and %d", heap, goroutines, after, left)
		// Each of the others remembers up to 1,024 nodes that were there once.
		if after > heap+8<<20 || left > goroutines+10 {
			t.Error("more than before")
		}
	})
}

// BenchmarkHour is an hour of a cluster at rest.
func BenchmarkHour(b *testing.B) {
	for _, n := range []int{2, 10, 30} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				hour(n)
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N*n), "s/node")
		})
	}
}

func hour(n int) {
	test(func(t *testing.T) {
		tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
			join(lan.Hosts(n)...)
			time.Sleep(time.Hour)
		})
	})
}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
