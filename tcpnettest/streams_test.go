package tcpnettest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/tcpnettest"
)

// Whatever the network loses, and whichever side of two a firewall protects, every
// node opens streams to every other, all at once, and gets whom it meant.
func TestStreamsOnAnyNetwork(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			tcpnettest.RunSeed(t, seed, func(t *testing.T, lan *tcpnettest.LAN) {
				rnd := rand.New(rand.NewPCG(seed, 0))
				hosts := lan.Hosts(4)
				lan.SetConditions(tcpnettest.Conditions{
					Latency: time.Duration(rnd.IntN(20_000)) * time.Microsecond,
					Jitter:  time.Duration(rnd.IntN(20_000)) * time.Microsecond,
					Loss:    0.1 * rnd.Float64(),
				})
				for i, a := range hosts {
					for _, b := range hosts[:i] {
						wall := []tcpnettest.Policy{tcpnettest.Pass, tcpnettest.DropDials, tcpnettest.RefuseDials}[rnd.IntN(3)]
						from, to := a, b // one way alone
						if rnd.IntN(2) == 0 {
							from, to = b, a
						}
						lan.Set(from, to, wall)
					}
				}
				streamsBetweenAll(t, hosts)
			})
		})
	}
}

// A stream to a machine that is gone ends with the time-out, also one that nobody has
// accepted yet, and while the two programs have no connection.
func TestStreamsToALostMachine(t *testing.T) {
	for _, test := range []struct {
		name     string
		accepted bool // before the cable is cut
		closed   bool // the connection was, by its program
	}{
		{"accepted", true, false},
		{"waiting", false, false},
		{"without a connection", true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
				hosts := lan.Hosts(2)
				a, b := hosts[0].Join(tcpnet.Config{}), hosts[1].Join(tcpnet.Config{Label: "b"})
				if err := a.Wait(t.Context(), 1); err != nil {
					t.Fatal(err)
				}
				service, err := b.Listen("s")
				if err != nil {
					t.Fatal(err)
				}
				near, err := a.DialContext(t.Context(), "b", "s")
				if err != nil {
					t.Fatal(err)
				}
				var far net.Conn
				if test.accepted {
					if far, err = service.Accept(); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Minute)
				if test.closed {
					a.Connections()[0].Close()
				}
				lan.Set(hosts[0], hosts[1], tcpnettest.Drop)
				lan.Set(hosts[1], hosts[0], tcpnettest.Drop)
				cut := time.Now()
				wait := func(c net.Conn) {
					if _, err := c.Read(make([]byte, 1)); !errors.Is(err, tcpnet.ErrTimeout) {
						t.Errorf("read: %v", err)
					}
					if took := time.Since(cut); took > 11*time.Second {
						t.Errorf("it took %v", took)
					}
				}
				wait(near)
				if !test.accepted {
					time.Sleep(10*time.Second - time.Since(cut))
					if far, err = service.Accept(); err != nil {
						t.Fatal(err)
					}
				}
				wait(far)
			})
		})
	}
}

// streamsBetweenAll starts a node on each host and opens streams between any two.
func streamsBetweenAll(t *testing.T, hosts []*tcpnettest.Host) {
	const each = 8
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var nodes []*tcpnet.Node
	var serving, calling sync.WaitGroup
	for _, h := range hosts {
		n := h.Join(tcpnet.Config{Label: h.Name()})
		nodes = append(nodes, n)
		ln, err := n.Listen("who")
		if err != nil {
			t.Fatal(err)
		}
		serving.Go(func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				serving.Go(func() {
					fmt.Fprintf(c, "%s to %s", h.Name(), c.(*tcpnet.Stream).Peer().Label)
					c.Close()
				})
			}
		})
	}
	for _, n := range nodes {
		if err := n.Wait(ctx, len(nodes)-1); err != nil {
			t.Fatal(err)
		}
	}
	for i, from := range nodes {
		for j, to := range hosts {
			for range each {
				calling.Go(func() {
					c, err := from.DialContext(ctx, to.Name(), "who")
					if err != nil {
						t.Errorf("from %v to %v: %v", hosts[i], hosts[j], err)
						return
					}
					defer c.Close()
					want := fmt.Sprintf("%s to %s", to.Name(), hosts[i].Name())
					if got, err := io.ReadAll(c); string(got) != want || err != nil {
						t.Errorf("got %q, %v; want %q", got, err, want)
					}
				})
			}
		}
	}
	calling.Wait()
	for _, n := range nodes {
		n.Close()
	}
	serving.Wait()
}
