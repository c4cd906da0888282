package tcpnet_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/discovery"
)

// events collects what happens on n until the test ends.
func events(t testing.TB, n *tcpnet.Node) <-chan tcpnet.Event {
	ch := make(chan tcpnet.Event, 1000)
	seq := n.Events(t.Context())
	go func() {
		defer close(ch)
		for e := range seq {
			ch <- e
		}
	}()
	return ch
}

// await returns the next event of the wanted kind from ch.
func await[E tcpnet.Event](t testing.TB, ch <-chan tcpnet.Event) E {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case e, ok := <-ch:
			if !ok {
				t.Fatal("the events have ended")
			}
			if e, is := e.(E); is {
				return e
			}
		case <-timeout:
			t.Fatalf("no %T", *new(E))
		}
	}
}

func TestPeerIsDescribed(t *testing.T) {
	name := cluster()
	a := join(t, tcpnet.Config{Name: name})
	b := join(t, tcpnet.Config{Name: name, Label: "the second", Meta: map[string]string{"role": "printer"}})
	c := accept(t, a)
	p := c.Peer()
	if p.ID != b.ID() || p.Label != "the second" || p.Meta["role"] != "printer" || p.Version != 1 || !p.Addr.IsValid() {
		t.Errorf("peer is %+v", p)
	}
	if _, err := json.Marshal(a.Status()); err != nil {
		t.Error(err)
	}
}

func TestClosedConnectionIsReplaced(t *testing.T) {
	name := cluster()
	a := join(t, tcpnet.Config{Name: name})
	b := join(t, tcpnet.Config{Name: name})
	ea, eb := events(t, a), events(t, b)
	for range 3 {
		first := await[tcpnet.Joined](t, ea).Conn
		await[tcpnet.Joined](t, eb)
		fmt.Fprint(first, "x")
		first.Close()
		if l := await[tcpnet.Left](t, ea); l.Conn != first || !errors.Is(l.Reason, tcpnet.ErrClosed) {
			t.Errorf("the side that closed: %+v", l)
		}
		l := await[tcpnet.Left](t, eb)
		if !errors.Is(l.Reason, tcpnet.ErrClosed) {
			t.Errorf("the other side: %+v", l)
		}
		// What was sent before is there.
		if got, err := io.ReadAll(l.Conn); string(got) != "x" || err != nil {
			t.Errorf("read %q, %v after the end", got, err)
		}
	}
	await[tcpnet.Joined](t, ea)
	await[tcpnet.Joined](t, eb)
}

func TestCloseIsToldAsLeft(t *testing.T) {
	name := cluster()
	a := join(t, tcpnet.Config{Name: name})
	b := join(t, tcpnet.Config{Name: name})
	ea := events(t, a)
	await[tcpnet.Joined](t, ea)
	wait(t, b, 1)
	cb := b.Connections()[0]
	b.Close()
	if l := await[tcpnet.Left](t, ea); !errors.Is(l.Reason, tcpnet.ErrLeft) {
		t.Errorf("left: %v", l.Reason)
	}
	if err := context.Cause(cb.Context()); !errors.Is(err, tcpnet.ErrClosed) {
		t.Errorf("cause on the closed node: %v", err)
	}
	if _, err := b.Accept(t.Context()); !errors.Is(err, tcpnet.ErrClosed) {
		t.Errorf("Accept on a closed node: %v", err)
	}
}

func TestSameIDComesBack(t *testing.T) {
	name := cluster()
	a := join(t, tcpnet.Config{Name: name, ID: "A"})
	ea := events(t, a)
	for range 3 {
		b := join(t, tcpnet.Config{Name: name, ID: "B"})
		await[tcpnet.Joined](t, ea)
		wait(t, b, 1)
		b.Close()
		await[tcpnet.Left](t, ea)
	}
}

func TestTwoLivingNodesWithOneID(t *testing.T) {
	for _, id := range []tcpnet.ID{"1", "FF"} { // once the others decide, once they do not
		t.Run(string(id), func(t *testing.T) {
			name := cluster()
			witness := join(t, tcpnet.Config{Name: name, ID: "7"})
			first := join(t, tcpnet.Config{Name: name, ID: id})
			wait(t, witness, 1)
			wait(t, first, 1)
			before := witness.Connections()[0]
			ef := events(t, first)
			second := join(t, tcpnet.Config{Name: name, ID: id})
			es := events(t, second)
			for who, ch := range map[string]<-chan tcpnet.Event{"first": ef, "second": es} {
				if r := await[tcpnet.Rejected](t, ch); !errors.Is(r.Err, tcpnet.ErrDuplicateID) {
					t.Errorf("%s: %v", who, r.Err)
				}
			}
			if now, ok := witness.Connection(id); !ok || now != before || before.Context().Err() != nil {
				t.Errorf("the first node's connection was replaced")
			}
		})
	}
}

func TestAdmitKeepsAPeerAway(t *testing.T) {
	for _, ids := range [][2]tcpnet.ID{{"1", "2"}, {"2", "1"}} {
		t.Run(string(ids[0]), func(t *testing.T) {
			name := cluster()
			a := join(t, tcpnet.Config{Name: name, ID: ids[0], Admit: func(_ context.Context, p tcpnet.PeerInfo) error {
				if p.Label == "bad" {
					return errors.New("no bad ones")
				}
				return nil
			}})
			ea := events(t, a)
			bad := join(t, tcpnet.Config{Name: name, ID: ids[1], Label: "bad"})
			eb := events(t, bad)
			if r := await[tcpnet.Rejected](t, ea); !errors.Is(r.Err, tcpnet.ErrNotAdmitted) || r.Peer.Label != "bad" {
				t.Errorf("told the program that refused: %+v", r)
			}
			if r := await[tcpnet.Rejected](t, eb); !errors.Is(r.Err, tcpnet.ErrRefused) || !strings.Contains(r.Err.Error(), "no bad ones") {
				t.Errorf("told the program that was refused: %v", r.Err)
			}
			good := join(t, tcpnet.Config{Name: name, ID: "3"})
			wait(t, good, 2)
			if _, ok := a.Connection(bad.ID()); ok {
				t.Error("connected all the same")
			}
		})
	}
}

func TestHandlerGetsEveryConnectionOnce(t *testing.T) {
	name := cluster()
	got := make(chan *tcpnet.Conn, 10)
	a := join(t, tcpnet.Config{Name: name, Handler: func(c *tcpnet.Conn) { got <- c }})
	if _, err := a.Accept(t.Context()); !errors.Is(err, tcpnet.ErrHandler) {
		t.Errorf("Accept: %v", err)
	}
	seen := map[tcpnet.ID]bool{}
	for range 3 {
		join(t, tcpnet.Config{Name: name})
	}
	for range 3 {
		c := <-got
		if seen[c.Peer().ID] {
			t.Errorf("%v twice", c)
		}
		seen[c.Peer().ID] = true
	}
	if len(a.Connections()) != 3 {
		t.Error("a connection has ended with its handler")
	}
}

func TestShutdownIsBounded(t *testing.T) {
	name := cluster()
	a := join(t, tcpnet.Config{Name: name})
	b := join(t, tcpnet.Config{Name: name})
	wait(t, a, 1)
	wait(t, b, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	// Nobody reads on b.
	if err := a.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
	}
	if a.Err() == nil {
		t.Error("still running")
	}
}

func TestStreamReachesTheSocket(t *testing.T) {
	name := cluster()
	a := join(t, tcpnet.Config{Name: name})
	b := join(t, tcpnet.Config{Name: name})
	ca := accept(t, a)
	cb := accept(t, b)
	const text = "through and through"
	go func() {
		io.Copy(ca, strings.NewReader(text))
		ca.CloseWrite()
	}()
	var out strings.Builder
	if n, err := io.Copy(&out, cb); n != int64(len(text)) || err != nil || out.String() != text {
		t.Errorf("copied %d, %v: %q", n, err, out.String())
	}
	raw, err := ca.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(uintptr) {}); err != nil {
		t.Error(err)
	}
	if _, ok := ca.RemoteAddr().(*net.TCPAddr); !ok {
		t.Errorf("remote address is a %T", ca.RemoteAddr())
	}
}

// A program that only writes does not read the end of the streams.
func TestShutdownDoesNotTakeLongerWithMorePeers(t *testing.T) {
	name := cluster()
	a := join(t, tcpnet.Config{Name: name})
	const peers = 8
	for range peers {
		join(t, tcpnet.Config{Name: name, Handler: func(c *tcpnet.Conn) {
			io.Copy(io.Discard, c)
			c.Close()
		}})
	}
	wait(t, a, peers)
	begin := time.Now()
	if err := a.Shutdown(context20(t)); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > peers*time.Second/2 {
		t.Errorf("Shutdown took %v with %d peers", took, peers)
	}
}

// A peer that ends its stream just before it shuts down is not kept waiting by a
// program that has closed at the end of the stream.
func TestCloseBetweenEndOfStreamAndGoodbye(t *testing.T) {
	name := cluster()
	a := join(t, tcpnet.Config{Name: name})
	join(t, tcpnet.Config{Name: name, Handler: func(c *tcpnet.Conn) {
		io.Copy(io.Discard, c)
		c.Close()
	}})
	c := accept(t, a)
	c.CloseWrite()
	if err := a.Shutdown(context20(t)); err != nil { // nobody reads c
		t.Error(err)
	}
}

// One that comes back at the address of a seed is found again, also after a goodbye.
func TestSeedComesBackAfterGoodbye(t *testing.T) {
	name := cluster()
	none := []discovery.Discoverer{}
	first := join(t, tcpnet.Config{Name: name, Discovery: none})
	addr := first.Addrs()[0].String()
	a := join(t, tcpnet.Config{Name: name, Discovery: none, Seeds: []string{addr}})
	wait(t, a, 1)
	first.Close()
	join(t, tcpnet.Config{Name: name, Discovery: none, Addr: addr})
	wait(t, a, 1)
}
