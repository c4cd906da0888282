package tcpnettest_test

import (
	"fmt"
	"math"
	"net/netip"
	"runtime"
	"strings"
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

// No two interfaces have the same address. Those that were given up are given again, and
// when there are none left, whoever wants one is told.
func TestAddresses(t *testing.T) {
	tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
		a, b := lan.Host("a"), lan.Host("b")
		own := prefix("10.0.1.9/24")
		b.AddAddr("eth0", own)
		for last := a.Addr(); ; last = a.Addr() {
			if next := a.Renumber("eth0"); next == last || next == b.Addr() || next == own.Addr() {
				t.Fatalf("%v after %v", next, last)
			} else if next.Less(last) {
				break // all were given once
			}
		}
		seen := map[netip.Addr]string{own.Addr(): "b"}
		for _, h := range append(lan.Hosts(251), a, b) {
			if other, ok := seen[h.Addr()]; ok || !prefix("10.0.1.0/24").Contains(h.Addr()) {
				t.Fatalf("%v has the address %v, as has %q", h, h.Addr(), other)
			}
			seen[h.Addr()] = h.Name()
		}
		for what, f := range map[string]func(){
			"a host":          func() { lan.Host("late") },
			"another address": func() { a.Renumber("eth0") },
		} {
			if text := panicOf(f); text != "tcpnettest: all 254 addresses of switch 1 are in use" {
				t.Errorf("%s: %s", what, text)
			}
		}
	})
}

// What cannot be meant is said at once, and leaves a LAN that goes on.
func TestMisuse(t *testing.T) {
	conditions := func(c tcpnettest.Conditions) func(lan *tcpnettest.LAN, h []*tcpnettest.Host) {
		return func(lan *tcpnettest.LAN, _ []*tcpnettest.Host) { lan.SetConditions(c) }
	}
	for name, f := range map[string]func(lan *tcpnettest.LAN, h []*tcpnettest.Host){
		"a name twice":         func(lan *tcpnettest.LAN, _ []*tcpnettest.Host) { lan.Host("h1") },
		"no such interface":    func(_ *tcpnettest.LAN, h []*tcpnettest.Host) { h[0].Unplug("eth7") },
		"a loss of 30 percent": conditions(tcpnettest.Conditions{Loss: 30}),
		"a loss of no number":  conditions(tcpnettest.Conditions{Loss: math.NaN()}),
		"negative duplicates":  conditions(tcpnettest.Conditions{Duplicate: -0.1}),
		"a negative latency":   conditions(tcpnettest.Conditions{Latency: -time.Second}),
		"a negative jitter":    conditions(tcpnettest.Conditions{Jitter: -1}),
		"a negative bandwidth": conditions(tcpnettest.Conditions{Bandwidth: -5}),
		"a loss between two": func(lan *tcpnettest.LAN, h []*tcpnettest.Host) {
			lan.SetBetween(h[0], h[1], tcpnettest.Conditions{Loss: 2})
		},
		"a loss of a switch": func(lan *tcpnettest.LAN, _ []*tcpnettest.Host) {
			lan.Switch().SetConditions(tcpnettest.Conditions{Loss: 2})
		},
		"a host on two sides": func(lan *tcpnettest.LAN, h []*tcpnettest.Host) { lan.Partition(h[:2], h[1:]) },
		"no such policy":      func(lan *tcpnettest.LAN, h []*tcpnettest.Host) { lan.Set(h[0], h[1], tcpnettest.Policy(9)) },
		"no such firewall":    func(_ *tcpnettest.LAN, h []*tcpnettest.Host) { h[0].Firewall(tcpnettest.Policy(9)) },
	} {
		t.Run(name, func(t *testing.T) {
			tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
				h := lan.Hosts(3)
				if text := panicOf(func() { f(lan, h) }); !strings.HasPrefix(text, "tcpnettest: ") {
					t.Errorf("it panics with %q", text)
				}
				nodes := join(h...)
				time.Sleep(time.Second)
				if err := tcpnettest.Meshed(nodes...); err != nil {
					t.Error(err)
				}
			})
		})
	}
	if s := tcpnettest.Policy(9).String(); s != "policy 9" {
		t.Error(s)
	}
}

// panicOf returns what f panics with, as text.
func panicOf(f func()) (text string) {
	defer func() { text = fmt.Sprint(recover()) }()
	f()
	return text
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
