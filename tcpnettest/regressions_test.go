package tcpnettest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/discovery"
	"example.com/tcpnet/tcpnettest"
)

// What the schedules have found, each with the fewest events that show it.

// couple joins two nodes and returns their connections.
func couple(t *testing.T, a, b *tcpnettest.Host) (na, nb *tcpnet.Node, ca, cb *tcpnet.Conn) {
	t.Helper()
	na, nb = a.Join(tcpnet.Config{}), b.Join(tcpnet.Config{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ca, err := na.Accept(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if cb, err = nb.Accept(ctx); err != nil {
		t.Fatal(err)
	}
	return na, nb, ca, cb
}

// meshedAfter checks that the nodes are a full mesh after a while.
func meshedAfter(t *testing.T, d time.Duration, nodes ...*tcpnet.Node) {
	t.Helper()
	time.Sleep(d)
	if err := tcpnettest.Meshed(nodes...); err != nil {
		t.Fatal(err)
	}
}

// dialsIn returns how many dials a host makes in the time that comes.
func dialsIn(h *tcpnettest.Host, d time.Duration) int {
	before := h.Stats().Dials
	time.Sleep(d)
	return h.Stats().Dials - before
}

// A program that closes a connection with bytes in it that it has not read resets it.
// The peer was told that the process or the network was gone, if the reset was faster
// than the word over the link.
func TestCloseWithUnreadBytesIsToldAsClosed(t *testing.T) {
	for seed := range uint64(10) {
		tcpnettest.RunSeed(t, seed, func(t *testing.T, lan *tcpnettest.LAN) {
			_, _, ca, cb := couple(t, lan.Host("a"), lan.Host("b"))
			ca.Write([]byte("unread"))
			time.Sleep(time.Millisecond)
			cb.Close()
			ca.Read(make([]byte, 1)) // the reset, or the end
			ca.Close()
			<-ca.Context().Done()
			if err := context.Cause(ca.Context()); !errors.Is(err, tcpnet.ErrClosed) {
				t.Errorf("the other program's close is told as: %v", err)
			}
		})
	}
}

// Bytes that wait for a living peer's program to read are no reason to end a
// connection or a stream, for however long; bytes that nobody acknowledges are.
func TestStreamsOfASlowAndOfALostPeer(t *testing.T) {
	tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
		a, b := lan.Host("a"), lan.Host("b")
		na, nb, ca, _ := couple(t, a, b)
		ln, err := nb.Listen("slow")
		if err != nil {
			t.Fatal(err)
		}
		s, err := na.DialContext(t.Context(), string(nb.ID()), "slow")
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := ln.Accept(); err != nil {
			t.Fatal(err)
		}
		failed := make(chan error, 2)
		for _, conn := range []net.Conn{ca, s} {
			go func() {
				_, err := conn.Write(make([]byte, 10<<20))
				failed <- err
			}()
		}
		select {
		case err := <-failed:
			t.Fatalf("a write to one who does not read: %v", err)
		case <-time.After(10 * time.Hour):
		}
		lan.Cut(a, b)
		begin := time.Now()
		first, second := <-failed, <-failed
		if took := time.Since(begin); took < 6*time.Second || took > 11*time.Second {
			t.Errorf("noticed after %v", took)
		}
		for _, err := range []error{first, second} {
			if err == nil {
				t.Error("a write to one who is gone was fine")
			}
		}
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, tcpnet.ErrTimeout) {
			t.Errorf("read from a stream whose peer is gone: %v", err)
		}
	})
}

// seeded is the configuration of a node without multicast.
func seeded(id tcpnet.ID, seeds ...string) tcpnet.Config {
	return tcpnet.Config{ID: id, Addr: ":7000", Seeds: seeds, Discovery: []discovery.Discoverer{}}
}

// A peer that said goodbye and comes back behind a firewall, so that it cannot dial,
// was never dialled: where there is no multicast, nobody announced it anew. Others
// who see it tell of it.
func TestPeerThatIsBackButCannotDial(t *testing.T) {
	tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
		a, b, c := lan.Host("a"), lan.Host("b"), lan.Host("c")
		na, nb := a.Join(seeded("A", "a:7000", "c:7000")), b.Join(seeded("B", "a:7000", "c:7000"))
		time.Sleep(time.Second)
		lan.Set(b, a, tcpnettest.DropDials)
		nb.Close()
		nb = b.Join(seeded("B", "a:7000", "c:7000"))
		nc := c.Join(seeded("C", "a:7000", "c:7000"))
		meshedAfter(t, 25*time.Second, na, nb, nc)
	})
}

// One who has left, and whom others tell of for a while, is dialled no more than once.
func TestPeerThatHasLeftIsLeftAlone(t *testing.T) {
	tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
		a, b, c := lan.Host("a"), lan.Host("b"), lan.Host("c")
		na, nb, nc := a.Join(seeded("A")), b.Join(seeded("B", "a:7000")), c.Join(seeded("C", "a:7000"))
		meshedAfter(t, 2*time.Second, na, nb, nc)
		lan.Cut(b, c) // so that c does not hear of b's end
		before := a.Stats().Dials
		nb.Close()
		time.Sleep(time.Hour)
		if n := a.Stats().Dials - before; n > 3 { // a race has three sockets
			t.Errorf("%d dials of one who has left", n)
		}
	})
}

// A twin that says goodbye says it under the ID of a node that is still there. When
// that one announces itself again it is dialled again.
func TestTwinsGoodbyeIsForgottenWhenTheOtherCalls(t *testing.T) {
	tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
		a, b := lan.Host("a"), lan.Host("b")
		na, nb := a.Join(tcpnet.Config{ID: "A"}), b.Join(tcpnet.Config{ID: "B"})
		time.Sleep(time.Second)
		a.SetUp("eth0", false)
		time.Sleep(3 * time.Second)
		for _, twin := range []*tcpnet.Node{a.Join(tcpnet.Config{ID: "B"}), b.Join(tcpnet.Config{ID: "A"})} {
			time.Sleep(6 * time.Second)
			twin.Close()
		}
		a.SetUp("eth0", true)
		meshedAfter(t, 15*time.Second, na, nb)
	})
}

// Of two nodes with one ID, one says goodbye. That was taken for the end of both.
func TestOneOfTwoTwinsLeaves(t *testing.T) {
	tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
		a, b, c := lan.Host("a"), lan.Host("b"), lan.Host("c")
		na, nb := a.Join(tcpnet.Config{ID: "A"}), b.Join(tcpnet.Config{ID: "B"})
		time.Sleep(time.Second)
		lan.Cut(a, b)
		twin := c.Join(tcpnet.Config{ID: "B"})
		meshedAfter(t, time.Minute, na, twin)
		lan.Heal()
		time.Sleep(40 * time.Second) // b tries, and is turned away
		twin.Close()
		meshedAfter(t, 3*time.Second, na, nb)
	})
}

// A node that gives a peer up must not end the stream as if all was said: its peer,
// who may still be there, took that for a clean end, and its own bytes for read.
func TestLostConnectionHasNoCleanEnd(t *testing.T) {
	tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
		a, b := lan.Host("a"), lan.Host("b")
		_, _, ca, cb := couple(t, a, b)
		b.SetUp("eth0", false)
		if _, err := ca.Write([]byte("are you there?")); err != nil {
			t.Fatal(err)
		}
		ca.CloseWrite()
		<-cb.Context().Done()
		if err := context.Cause(cb.Context()); !errors.Is(err, tcpnet.ErrTimeout) {
			t.Fatal(err)
		}
		if _, err := cb.Read(make([]byte, 1)); !errors.Is(err, tcpnet.ErrTimeout) {
			t.Errorf("b reads %v", err)
		}
		if _, err := cb.Write([]byte("x")); !errors.Is(err, tcpnet.ErrTimeout) {
			t.Errorf("b writes: %v", err)
		}
		cb.Close()
		b.SetUp("eth0", true)
		if _, err := ca.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("a reads %v: a clean end", err)
		}
	})
}

// A twin on the machine of one node leaves while another, that could be dialled by
// nobody else, has said all that it says by itself. Its goodbye was taken for the other's
// in the process, and who was left had been told of the other a moment before.
func TestTwinInTheProcessLeaves(t *testing.T) {
	tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
		a, b := lan.Host("a"), lan.Host("b")
		na, nb := a.Join(tcpnet.Config{ID: "A"}), b.Join(tcpnet.Config{ID: "B"})
		time.Sleep(time.Minute)
		lan.Set(b, a, tcpnettest.DropDials)
		a.SetUp("eth0", false)
		time.Sleep(15 * time.Second)
		twin := a.Join(tcpnet.Config{ID: "B"})
		meshedAfter(t, time.Second, na, twin)
		a.SetUp("eth0", true)
		time.Sleep(100 * time.Millisecond)
		twin.Close()
		meshedAfter(t, 5*time.Second, na, nb)
	})
}

// Each of two nodes has a twin on the other's machine for a while. When both were gone,
// nobody said another word by mDNS.
func TestTwinsHaveCrossed(t *testing.T) {
	tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
		a, b := lan.Host("a"), lan.Host("b")
		na, nb := a.Join(tcpnet.Config{ID: "A"}), b.Join(tcpnet.Config{ID: "B"})
		time.Sleep(10 * time.Second)
		lan.Set(a, b, tcpnettest.Drop)
		time.Sleep(2 * time.Second)
		twinB := a.Join(tcpnet.Config{ID: "B"})
		time.Sleep(2 * time.Second)
		twinB.Close()
		time.Sleep(time.Second)
		twinA := b.Join(tcpnet.Config{ID: "A"})
		time.Sleep(1300 * time.Millisecond)
		lan.Heal()
		time.Sleep(900 * time.Millisecond)
		twinA.Close()
		meshedAfter(t, 15*time.Second, na, nb)
	})
}

// Where there is no multicast, two nodes that have no peer in common found each other
// never, although they could reach each other: only first-hand news was passed on.
func TestNoPeerInCommon(t *testing.T) {
	tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
		a, b, c, d := lan.Host("a"), lan.Host("b"), lan.Host("c"), lan.Host("d")
		lan.Cut(a, d)
		lan.Cut(b, c)
		cfg := tcpnet.Config{Addr: ":7000", Seeds: []string{"a:7000", "b:7000"}, Discovery: []discovery.Discoverer{}}
		a.Join(cfg)
		b.Join(cfg)
		nc, nd := c.Join(cfg), d.Join(cfg)
		time.Sleep(time.Minute)
		if err := tcpnettest.Meshed(nc, nd); err == nil {
			return
		}
		if _, ok := nc.Connection(nd.ID()); !ok {
			t.Error("c and d have not found each other")
		}
	})
}

// A node moves twice and cannot dial one of its peers, which asks where it is between
// the two. As nobody's view was another afterwards, it did not ask again.
func TestPeerMovesAgain(t *testing.T) {
	tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
		hosts := lan.Hosts(4)
		cfg := tcpnet.Config{Addr: ":7000", Seeds: []string{"h1:7000"}, Discovery: []discovery.Discoverer{}}
		var nodes []*tcpnet.Node
		for _, h := range hosts {
			nodes = append(nodes, h.Join(cfg))
		}
		meshedAfter(t, 10*time.Second, nodes...)
		mover := hosts[3]
		lan.Set(mover, hosts[2], tcpnettest.DropDials)
		mover.Renumber("eth0")
		time.Sleep(11 * time.Second) // the last peer has noticed, and asked
		mover.Renumber("eth0")
		meshedAfter(t, time.Minute, nodes...)
	})
}

// A node that cannot dial one of its peers leaves and comes back, twice. The second time
// that peer took what it saw of the others' views for what it had asked about.
func TestPeerComesBackTwice(t *testing.T) {
	tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
		a, b, c := lan.Host("a"), lan.Host("b"), lan.Host("c")
		lan.Set(c, b, tcpnettest.DropDials)
		cfg := tcpnet.Config{Addr: ":7000", Seeds: []string{"a:7000"}, Discovery: []discovery.Discoverer{}}
		na, nb := a.Join(cfg), b.Join(cfg)
		cfg.ID = "C"
		nc := c.Join(cfg)
		for range 3 {
			meshedAfter(t, time.Minute, na, nb, nc)
			nc.Shutdown(t.Context())
			time.Sleep(500 * time.Millisecond)
			nc = c.Join(cfg)
		}
	})
}

// The byte that says that a connection is open is lost, with all that follows. Who had
// not got it gave up as if all had been said, and what the other's program had sent was
// taken to have been read.
func TestHalfOpenedConnectionHasNoCleanEnd(t *testing.T) {
	tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
		a, b := lan.Host("a"), lan.Host("b")
		first := make(chan error, 1)
		var once sync.Once
		lan.Set(b, a, tcpnettest.DropDials) // so that it is a that dials
		a.Join(tcpnet.Config{})
		b.Join(tcpnet.Config{Handler: func(c *tcpnet.Conn) {
			defer c.Close()
			once.Do(func() {
				lan.Set(b, a, tcpnettest.Drop)
				c.Write([]byte("hello"))
				c.CloseWrite()
				time.AfterFunc(8*time.Second, lan.Heal) // when a has given up
				_, err := c.Read(make([]byte, 1))
				<-c.Context().Done()
				first <- err
			})
			io.Copy(io.Discard, c)
		}})
		select {
		case err := <-first:
			if err == nil || err == io.EOF {
				t.Errorf("the end of a connection that a's program never had is clean: %v", err)
			}
		case <-time.After(time.Minute):
			t.Error("b's program has had no connection, or has it still")
		}
	})
}

// While two nodes cannot reach each other, each meets a twin of the other on its own
// machine, which says goodbye. That was taken for the goodbye of the other, far away.
func TestTwinOfALostPeerLeaves(t *testing.T) {
	for name, tc := range map[string]struct {
		away  time.Duration // how long they cannot reach each other after the goodbyes
		again time.Duration // how soon they are to be connected again
		same  bool          // every machine has a bridge with the same address
	}{
		"soon": {away: 10 * time.Second, again: 5 * time.Second},
		// Nobody dials for ever where somebody was once: discovery asks every hour.
		"late":              {away: 2 * time.Hour, again: time.Hour},
		"an address of all": {away: 10 * time.Second, again: 5 * time.Second, same: true},
	} {
		t.Run(name, func(t *testing.T) {
			tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
				a, b := lan.Host("a"), lan.Host("b")
				for _, h := range []*tcpnettest.Host{a, b} {
					if tc.same {
						h.AddAddr(h.Attach(lan.Switch()), netip.MustParsePrefix("172.17.0.1/16"))
					}
				}
				na, nb := a.Join(tcpnet.Config{ID: "A"}), b.Join(tcpnet.Config{ID: "B"})
				time.Sleep(10 * time.Second)
				lan.Cut(a, b)
				time.Sleep(10 * time.Second)
				twinA, twinB := b.Join(tcpnet.Config{ID: "A"}), a.Join(tcpnet.Config{ID: "B"})
				meshedAfter(t, 10*time.Second, na, twinB)
				twinA.Shutdown(t.Context())
				twinB.Shutdown(t.Context())
				time.Sleep(time.Second)
				if n := na.Stats().Missing; n != 1 {
					t.Errorf("%d nodes are missing, and one is dialled", n)
				}
				if all := na.Status().Candidates; len(all) != 1 || all[0].Left {
					t.Errorf("candidates, one of which is dialled: %+v", all)
				}
				time.Sleep(tc.away)
				lan.Heal()
				meshedAfter(t, tc.again, na, nb)
			})
		})
	}
}

// A node is lost, comes back elsewhere and leaves in good order. Where it was at first is
// tried for a while, in case that was another, and not for ever; and where it has been
// since is not tried because of one who has not heard its goodbye.
func TestPeerThatMovedAndLeft(t *testing.T) {
	for name, stay := range map[string]time.Duration{"soon": time.Minute, "after days": 48 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
				a, b, c := lan.Host("a"), lan.Host("b"), lan.Host("c")
				na, nb, nc := a.Join(seeded("A")), b.Join(seeded("B", "a:7000")), c.Join(seeded("C", "a:7000"))
				meshedAfter(t, 2*time.Second, na, nb, nc)
				b.SetUp("eth0", false)
				nb.Close()
				b.Renumber("eth0")
				time.Sleep(time.Minute)
				b.SetUp("eth0", true)
				nb = b.Join(seeded("B", "a:7000"))
				meshedAfter(t, stay, na, nb, nc)
				lan.Cut(b, c) // so that c does not hear of b's end
				nb.Close()
				time.Sleep(time.Minute)
				dials := func(most int) {
					t.Helper()
					if n := dialsIn(a, time.Hour); n > most {
						t.Errorf("%d dials of one who has left in an hour, at most %d wanted", n, most)
					}
				}
				if stay < time.Hour {
					dials(3600 / 15 * 3) // every 15 s in the end, with three sockets
				}
				if left := na.Status().Candidates; len(left) != 1 || !left[0].Left {
					t.Errorf("a does not take b to have left: %+v", left)
				}
				dials(3)
			})
		})
	}
}

// Who has not heard a goodbye tells of the one that left, at places where it was long ago
// as well, or over another network. It was dialled for ever.
func TestLateWordOfOneThatLeft(t *testing.T) {
	check := func(t *testing.T, lan *tcpnettest.LAN, a, b, c *tcpnettest.Host, na, nb, nc *tcpnet.Node) {
		t.Helper()
		meshedAfter(t, time.Minute, na, nb, nc)
		lan.Cut(b, c)
		nb.Close()
		time.Sleep(2 * time.Hour)
		if n := dialsIn(a, time.Hour); n > 0 {
			t.Errorf("%d dials in the third hour", n)
		}
	}
	t.Run("with an old port", func(t *testing.T) {
		tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
			a, b, c := lan.Host("a"), lan.Host("b"), lan.Host("c")
			nc, nb := c.Join(tcpnet.Config{ID: "C"}), b.Join(tcpnet.Config{ID: "B"})
			time.Sleep(5 * time.Second)
			nb.Close()
			time.Sleep(20 * time.Second)
			nb = b.Join(tcpnet.Config{ID: "B"})
			time.Sleep(5 * time.Minute)
			check(t, lan, a, b, c, a.Join(tcpnet.Config{ID: "A"}), nb, nc)
		})
	})
	t.Run("over another link", func(t *testing.T) {
		tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
			hosts := []*tcpnettest.Host{lan.Host("a"), lan.Host("b"), lan.Host("c")}
			second := lan.Switch()
			for i, h := range hosts { // two networks, both with link-local addresses only
				h.RemoveAddr("eth0", h.Addr())
				other := h.Attach(second)
				h.RemoveAddr(other, h.Addr())
				h.AddAddr("eth0", netip.MustParsePrefix(fmt.Sprintf("fe80::a:%d/64", i+1)))
				h.AddAddr(other, netip.MustParsePrefix(fmt.Sprintf("fe80::b:%d/64", i+1)))
			}
			a, b, c := hosts[0], hosts[1], hosts[2]
			na, nb := a.Join(tcpnet.Config{ID: "A"}), b.Join(tcpnet.Config{ID: "B"})
			time.Sleep(5 * time.Second)
			c.Unplug("eth1")
			nc := c.Join(tcpnet.Config{ID: "C"})
			time.Sleep(5 * time.Second)
			c.Plug("eth1")
			check(t, lan, a, b, c, na, nb, nc)
		})
	})
}

// Two nodes with one ID leave one after the other. As there had been two, the second was
// dialled for ever.
func TestBothTwinsLeave(t *testing.T) {
	tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
		a, b, c := lan.Host("a"), lan.Host("b"), lan.Host("c")
		a.Join(tcpnet.Config{ID: "A"})
		nb := b.Join(tcpnet.Config{ID: "B"})
		time.Sleep(time.Second)
		twin := c.Join(tcpnet.Config{ID: "B"})
		time.Sleep(time.Minute)
		twin.Close()
		time.Sleep(10 * time.Second)
		nb.Close()
		time.Sleep(2 * time.Hour)
		if n := dialsIn(a, time.Hour); n > 0 {
			t.Errorf("%d dials of two who have left, in the third hour", n)
		}
	})
}
