package tcpnet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/tcpnet"
)

// listen makes a service of n that answers each stream with what it reads of it.
func listen(t testing.TB, n *tcpnet.Node, service string) net.Listener {
	t.Helper()
	ln, err := n.Listen(service)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		ln.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				io.Copy(c, c)
			})
		}
	})
	return ln
}

// dial opens a stream that is closed when the test ends.
func dial(t testing.TB, n *tcpnet.Node, peer, service string) *tcpnet.Stream {
	t.Helper()
	c, err := n.DialContext(context20(t), peer, service)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*tcpnet.Stream)
}

// echoed fails the test unless what is written to c comes back.
func echoed(t testing.TB, c net.Conn, text string) {
	t.Helper()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	c.(*tcpnet.Stream).CloseWrite()
	got, err := io.ReadAll(c)
	if err != nil || string(got) != text {
		t.Fatalf("%q came back as %q, %v", text, got, err)
	}
}

func pair(t testing.TB, a, b tcpnet.Config) (*tcpnet.Node, *tcpnet.Node) {
	t.Helper()
	a.Name = cluster()
	b.Name = a.Name
	x, y := join(t, a), join(t, b)
	wait(t, x, 1)
	wait(t, y, 1)
	return x, y
}

func TestStreamsByLabelAndByID(t *testing.T) {
	// Each side dials, the one that has dialled the link and the other.
	a, b := pair(t, tcpnet.Config{Label: "first"}, tcpnet.Config{Label: "second", Meta: map[string]string{"k": "v"}})
	services := []string{"http", "Ein Dienst", strings.Repeat("s", 255)}
	for _, service := range services {
		listen(t, a, service)
		listen(t, b, service)
	}
	for _, service := range services {
		for _, name := range []string{"second", "second.mesh", "second.mesh:80", string(b.ID()), strings.ToLower(string(b.ID())) + ".mesh"} {
			s := dial(t, a, name, service)
			if p := s.Peer(); p.ID != b.ID() || p.Label != "second" || p.Meta["k"] != "v" || p.Addr.String() != s.RemoteAddr().String() || s.Service() != service {
				t.Errorf("%q leads to %+v, %v", name, p, s)
			}
			echoed(t, s, "from a")
		}
		echoed(t, dial(t, b, "first", service), "from b")
		echoed(t, dial(t, b, tcpnet.ServiceAddr{ID: a.ID(), Service: service}.String(), service), "by address")
	}
}

func TestTheServiceKnowsWhoCalls(t *testing.T) {
	a, b := pair(t, tcpnet.Config{}, tcpnet.Config{Label: "caller"})
	ln, err := a.Listen("door")
	if err != nil {
		t.Fatal(err)
	}
	if got := ln.Addr(); got != (tcpnet.ServiceAddr{ID: a.ID(), Service: "door"}) || got.Network() != "tcpnet" {
		t.Errorf("the listener's address is %v", got)
	}
	out := dial(t, b, string(a.ID()), "door")
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	in := c.(*tcpnet.Stream)
	if in.Peer().ID != b.ID() || in.Peer().Label != "caller" || in.Service() != "door" {
		t.Errorf("%v called", in)
	}
	if in.RemoteAddr().String() != out.LocalAddr().String() || in.LocalAddr().String() != out.RemoteAddr().String() {
		t.Error("the two ends are of different sockets")
	}
	for _, s := range []*tcpnet.Stream{in, out} {
		if _, err := s.SyscallConn(); err != nil {
			t.Errorf("no access to the socket: %v", err)
		}
	}
	if st := a.Status(); st.Peers[0].Streams != 1 || len(st.Services) != 1 || st.Services[0] != "door" {
		t.Errorf("status: %+v", st)
	}
	// Half-close, and the ways without a copy.
	if _, err := in.ReadFrom(strings.NewReader("welcome")); err != nil {
		t.Error(err)
	}
	in.CloseWrite()
	var got strings.Builder
	if _, err := out.WriteTo(&got); err != nil || got.String() != "welcome" {
		t.Errorf("got %q, %v", got.String(), err)
	}
	if in.Close() != nil || !errors.Is(in.Close(), net.ErrClosed) {
		t.Error("Close")
	}
	if st := a.Status(); st.Peers[0].Streams != 0 {
		t.Errorf("status after Close: %+v", st.Peers)
	}
}

func TestStreamsToOneself(t *testing.T) {
	n := join(t, tcpnet.Config{Name: cluster(), Label: "alone"})
	listen(t, n, "echo")
	echoed(t, dial(t, n, "alone", "echo"), "by label")
	s := dial(t, n, string(n.ID()), "echo")
	if s.Peer().ID != n.ID() || s.Peer().Label != "alone" {
		t.Errorf("peer %+v", s.Peer())
	}
	echoed(t, s, "by ID")
	if _, err := n.DialContext(context20(t), "alone", "none"); !errors.Is(err, tcpnet.ErrNoService) {
		t.Error(err)
	}
}

// The streams of a private cluster go both ways, and to the node itself.
func TestStreamsBothWaysInAPrivateCluster(t *testing.T) {
	secret := [][]byte{[]byte(tcpnet.NewSecret())}
	a, b := pair(t, tcpnet.Config{Label: "a", Secrets: secret}, tcpnet.Config{Label: "b", Secrets: secret})
	for _, n := range []*tcpnet.Node{a, b} {
		listen(t, n, "echo")
	}
	for _, from := range []*tcpnet.Node{a, b} {
		for _, to := range []string{"a", "b"} { // one of them is itself
			s := dial(t, from, to, "echo")
			if s.Peer().Label != to {
				t.Errorf("%q leads to %v", to, s)
			}
			echoed(t, s, strings.Repeat("not to be read by others ", 10_000))
		}
	}
	if _, err := a.DialContext(context20(t), "b", "none"); !errors.Is(err, tcpnet.ErrNoService) {
		t.Error(err)
	}
}

func TestStreamsThatCannotBeOpened(t *testing.T) {
	name := cluster()
	a := join(t, tcpnet.Config{Name: name, Label: "a"})
	b := join(t, tcpnet.Config{Name: name, Label: "twin"})
	c := join(t, tcpnet.Config{Name: name, Label: "twin"})
	wait(t, a, 2)
	fails := func(peer, service string, want error, says ...string) {
		t.Helper()
		begin := time.Now()
		conn, err := a.DialContext(context20(t), peer, service)
		if conn != nil || !errors.Is(err, want) {
			t.Errorf("%q at %.40q: %v, %v; want %v", service, peer, conn, err, want)
			return
		}
		for _, s := range says {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%q does not say %q", err, s)
			}
		}
		if d := time.Since(begin); d > 4*time.Second {
			t.Errorf("%v after %v", err, d)
		}
	}
	fails("twin", "x", tcpnet.ErrAmbiguous, string(b.ID()), string(c.ID()))
	fails("nobody", "x", tcpnet.ErrNoPeer, "nobody", string(b.ID()), "twin")
	fails("ABCDEF", "x", tcpnet.ErrNoPeer)
	fails(string(b.ID()), "x", tcpnet.ErrNoService, `"x"`)
	for _, service := range []string{"", strings.Repeat("s", 256), "\xff"} {
		if _, err := a.DialContext(context20(t), string(b.ID()), service); err == nil {
			t.Errorf("a service %q", service)
		}
		if _, err := a.Listen(service); err == nil {
			t.Errorf("a service %q", service)
		}
	}
	ln := listen(t, b, "x")
	if _, err := b.Listen("x"); !errors.Is(err, tcpnet.ErrServiceInUse) {
		t.Errorf("a service twice: %v", err)
	}
	echoed(t, dial(t, a, string(b.ID()), "x"), "now it is there")
	ln.Close()
	fails(string(b.ID()), "x", tcpnet.ErrNoService)
	listen(t, b, "x") // the name is free again
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.DialContext(canceled, string(b.ID()), "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	ea := events(t, a)
	b.Close()
	for await[tcpnet.Left](t, ea).Conn.Peer().ID != b.ID() {
	}
	fails(string(b.ID()), "x", tcpnet.ErrNoPeer)
	a.Close()
	fails(string(c.ID()), "x", tcpnet.ErrClosed)
	if _, err := a.Listen("y"); !errors.Is(err, tcpnet.ErrClosed) {
		t.Errorf("Listen on a closed node: %v", err)
	}
}

func TestManyStreamsAtOnce(t *testing.T) {
	a, b := pair(t, tcpnet.Config{}, tcpnet.Config{})
	listen(t, a, "echo")
	listen(t, b, "echo")
	var wg sync.WaitGroup
	for i := range 200 {
		from, to := a, b
		if i%2 == 1 {
			from, to = b, a
		}
		wg.Go(func() {
			c, err := from.DialContext(context20(t), string(to.ID()), "echo")
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			text := fmt.Sprint("stream ", i)
			io.WriteString(c, text)
			c.(*tcpnet.Stream).CloseWrite()
			if got, err := io.ReadAll(c); err != nil || string(got) != text {
				t.Errorf("%q came back as %q, %v", text, got, err)
			}
		})
	}
	wg.Wait()
}

func TestServiceThatDoesNotAccept(t *testing.T) {
	a, b := pair(t, tcpnet.Config{}, tcpnet.Config{})
	ln, err := a.Listen("slow")
	if err != nil {
		t.Fatal(err)
	}
	var waiting []*tcpnet.Stream
	for range 128 {
		waiting = append(waiting, dial(t, b, string(a.ID()), "slow"))
	}
	if _, err := b.DialContext(context20(t), string(a.ID()), "slow"); !errors.Is(err, tcpnet.ErrServiceBusy) {
		t.Fatalf("one more than may wait: %v", err)
	}
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	dial(t, b, string(a.ID()), "slow") // there is room again
	ln.Close()
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
	// Those that waited have ended, the one that was accepted has not.
	ended := 0
	for _, s := range waiting {
		s.SetReadDeadline(time.Now().Add(patience))
		if s.LocalAddr().String() == c.RemoteAddr().String() {
			fmt.Fprint(c, "x")
			if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
				t.Errorf("the one that was accepted: %v", err)
			}
		} else if _, err := s.Read(make([]byte, 1)); err != nil {
			ended++
		}
	}
	if ended != 127 {
		t.Errorf("%d have ended", ended)
	}
}

func TestStreamsEndWithTheNode(t *testing.T) {
	a, b := pair(t, tcpnet.Config{}, tcpnet.Config{})
	ln, err := a.Listen("door")
	if err != nil {
		t.Fatal(err)
	}
	out := dial(t, b, string(a.ID()), "door")
	in, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan error, 1)
	go func() {
		_, err := ln.Accept()
		accepted <- err
	}()
	b.Close()
	if _, err := out.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write on a stream of a closed node: %v", err)
	}
	in.SetReadDeadline(time.Now().Add(patience))
	if _, err := in.Read(make([]byte, 1)); err == nil {
		t.Error("the other end goes on")
	}
	a.Close()
	if err := <-accepted; !errors.Is(err, net.ErrClosed) || !errors.Is(err, tcpnet.ErrClosed) {
		t.Errorf("Accept on a closed node: %v", err)
	}
	if ln.Close() == nil {
		t.Error("the listener was open")
	}
}

func TestShutdownLetsStreamsFinish(t *testing.T) {
	a, b := pair(t, tcpnet.Config{Handler: func(c *tcpnet.Conn) { io.Copy(io.Discard, c); c.Close() }},
		tcpnet.Config{Handler: func(c *tcpnet.Conn) { io.Copy(io.Discard, c); c.Close() }})
	ln, err := a.Listen("door")
	if err != nil {
		t.Fatal(err)
	}
	out := dial(t, b, string(a.ID()), "door")
	in, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(in, "last words")
	down := make(chan error, 1)
	go func() { down <- a.Shutdown(context20(t)) }()
	if got, err := io.ReadAll(out); err != nil || string(got) != "last words" {
		t.Errorf("read %q, %v", got, err)
	}
	if _, err := b.DialContext(context20(t), string(a.ID()), "door"); err == nil {
		t.Error("a stream to a node that is leaving")
	}
	fmt.Fprint(out, "and an answer")
	out.Close()
	if got, err := io.ReadAll(in); err != nil || string(got) != "and an answer" {
		t.Errorf("the node that leaves read %q, %v", got, err)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
}
