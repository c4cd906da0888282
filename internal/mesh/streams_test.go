package mesh

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/tcpnet/internal/link"
)

const waitFor = 20 * time.Second

// A host is a mesh on loopback with a program that holds its connections.
type host struct {
	*Mesh
	addr netip.AddrPort
	up   chan *Connection

	mu    sync.Mutex // guards conns
	conns []*Connection
}

func (h *host) Up(c *Connection) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns = append(h.conns, c)
	h.up <- c
}
func (h *host) Lost(link.ID, error)     {}
func (h *host) Down(*Connection, error) {}
func (h *host) Rejected(Rejection)      {}

type dialFunc = func(context.Context, netip.AddrPort) (net.Conn, error)

func newHost(t *testing.T, name string, id link.ID, dial dialFunc) *host {
	t.Helper()
	listeners, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &host{addr: endpoint(listeners[0].Addr()), up: make(chan *Connection, 100)}
	h.Mesh = New(Config{
		Name: name, ID: id, Label: string(id), Interval: 3 * time.Second, Timeout: 10 * time.Second,
		Pending: 64, PerAddr: 4, Dials: 16, Logger: slog.New(slog.DiscardHandler), Listeners: listeners,
		Dial: dial, Resolve: Resolve, Random: rand.Reader, Addrs: func() []netip.AddrPort { return []netip.AddrPort{h.addr} },
		Usable: func(netip.Addr) bool { return true }, Reconfirm: func(link.ID) {}, Program: h,
	})
	t.Cleanup(func() {
		h.Close()
		for _, c := range h.conns {
			c.Net.Close()
		}
	})
	return h
}

// linked returns two hosts, of which the first has dialled the link.
func linked(t *testing.T, a, b dialFunc) (x, y *host) {
	t.Helper()
	name := rand.Text()
	x, y = newHost(t, name, "A", a), newHost(t, name, "B", b)
	x.AddSeed(y.addr.String())
	for _, h := range []*host{x, y} {
		select {
		case <-h.up:
		case <-time.After(waitFor):
			t.Fatal("the hosts are not connected")
		}
	}
	return x, y
}

// open opens a stream from one host to a service of the other, and returns both ends.
func open(t *testing.T, from *host, to *host, s *Service) (out, in *Stream) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitFor)
	defer cancel()
	out, err := from.DialStream(ctx, to.cfg.ID, s.Name)
	if err != nil {
		t.Fatal(err)
	}
	if in, err = s.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Net.Close(); in.Net.Close() })
	return out, in
}

// joinedUp fails the test unless two streams are the ends of one.
func joinedUp(t *testing.T, out, in *Stream) {
	t.Helper()
	for _, ends := range [][2]net.Conn{{out.Net, in.Net}, {in.Net, out.Net}} {
		ends[1].SetDeadline(time.Now().Add(waitFor))
		if _, err := ends[0].Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		var got [5]byte
		if _, err := io.ReadFull(ends[1], got[:]); err != nil || string(got[:]) != "hello" {
			t.Fatalf("%q, %v", got, err)
		}
	}
}

func refused(context.Context, netip.AddrPort) (net.Conn, error) { return nil, syscall.ECONNREFUSED }

func dropped(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// If this side cannot dial, the other is asked to, whether it is refused or hears
// nothing at all.
func TestTheSideThatCanDialsTheStream(t *testing.T) {
	for name, wall := range map[string]dialFunc{"refused": refused, "dropped": dropped} {
		t.Run(name, func(t *testing.T) {
			a, b := linked(t, Dial, wall)
			s, err := a.Listen("service")
			if err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				begin := time.Now()
				out, in := open(t, b, a, s)
				if out.Peer.ID != "A" || in.Peer.ID != "B" || out.Service != "service" || in.Service != "service" {
					t.Errorf("%+v, %+v", out, in)
				}
				if endpoint(out.Net.LocalAddr()) != b.addr {
					t.Errorf("the socket was not dialled by the other side: %v", out.Net.LocalAddr())
				}
				joinedUp(t, out, in)
				t.Logf("stream %d after %v", i+1, time.Since(begin))
			}
			if w, err := b.wayTo("A"); err != nil || !w.path.askFirst.Load() {
				t.Error("it has not learned which side can dial")
			}
			ctx, cancel := context.WithTimeout(t.Context(), waitFor)
			defer cancel()
			if _, err := b.DialStream(ctx, "A", "none"); !errors.Is(err, ErrNoService) {
				t.Errorf("a service that is not there: %v", err)
			}
			// Many at once, more than are asked for at once.
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					st, err := b.DialStream(ctx, "A", "service")
					if err != nil {
						t.Error(err)
						return
					}
					st.Net.Close()
				})
			}
			for range 100 {
				if in, err := s.Accept(); err == nil {
					in.Net.Close()
				}
			}
			wg.Wait()
			if n := asking(b); n != 0 {
				t.Errorf("%d asks are left", n)
			}
		})
	}
}

// asking returns how many asks a host has under way.
func asking(h *host) int {
	h.streams.asks.mu.Lock()
	defer h.streams.asks.mu.Unlock()
	return len(h.streams.asks.open)
}

func TestNeitherSideCanDialAStream(t *testing.T) {
	var wall atomic.Bool
	a, b := linked(t, func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
		if wall.Load() {
			return refused(ctx, to)
		}
		return Dial(ctx, to)
	}, refused)
	a.Listen("s")
	b.Listen("s")
	wall.Store(true)
	for _, ends := range [][2]*host{{a, b}, {b, a}} {
		if _, err := ends[0].DialStream(t.Context(), ends[1].cfg.ID, "s"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("from %s: %v", ends[0].cfg.ID, err)
		}
	}
}

// A stream that is opened while its service has a place is the one it was opened for,
// however late the other way comes.
func TestADialThatIsLateOpensNothing(t *testing.T) {
	release := make(chan struct{})
	slow := func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
		select {
		case <-release:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		return Dial(ctx, to)
	}
	a, b := linked(t, Dial, slow)
	s, _ := a.Listen("s")
	out, in := open(t, b, a, s) // asked for, after a while
	joinedUp(t, out, in)
	close(release)
	out, in = open(t, b, a, s)
	joinedUp(t, out, in)
	if n := len(s.ready); n != 0 {
		t.Errorf("%d streams that nobody has opened", n)
	}
}

// taped is a socket that remembers what was written to it.
type taped struct {
	net.Conn
	mu   sync.Mutex
	tape bytes.Buffer
}

func (c *taped) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.tape.Write(b)
	c.mu.Unlock()
	return c.Conn.Write(b)
}

func TestStrangersGetNoStreams(t *testing.T) {
	var mu sync.Mutex
	var tapes []*taped
	a, b := linked(t, func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
		c, err := Dial(ctx, to)
		if err != nil {
			return nil, err
		}
		tc := &taped{Conn: c}
		mu.Lock()
		defer mu.Unlock()
		tapes = append(tapes, tc)
		return tc, nil
	}, Dial)
	s, _ := b.Listen("s")
	out, in := open(t, a, b, s)
	joinedUp(t, out, in)
	mu.Lock()
	last := tapes[len(tapes)-1]
	mu.Unlock()
	last.mu.Lock()
	recorded := bytes.TrimSuffix(last.tape.Bytes(), []byte("hello"))
	last.mu.Unlock()

	say := func(to netip.AddrPort, b []byte) (answer []byte, err error) {
		c, err := Dial(t.Context(), to)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(waitFor))
		c.Write(b)
		c.(*net.TCPConn).CloseWrite()
		return io.ReadAll(c)
	}
	request := func(change func(*link.StreamRequest)) []byte {
		r, err := link.ReadStreamRequest(bytes.NewReader(recorded[link.PrefaceLen:]))
		if err != nil {
			t.Fatal(err)
		}
		change(r)
		return link.AppendStreamRequest(link.AppendPreface(nil, link.KindStream), r)
	}
	// A recording gets another challenge, which it does not meet.
	if answer, _ := say(b.addr, recorded); len(answer) != 33 || answer[0] != link.Accepted {
		t.Errorf("a recording is answered %x", answer)
	}
	// Nor does it pass for the other side's request to who has made it.
	for what, say := range map[string]func() ([]byte, error){
		"sent back": func() ([]byte, error) { return say(a.addr, recorded) },
		"sent back with the names exchanged": func() ([]byte, error) {
			return say(a.addr, request(func(r *link.StreamRequest) { r.From, r.To = r.To, r.From }))
		},
		"another service": func() ([]byte, error) {
			return say(b.addr, request(func(r *link.StreamRequest) { r.Service = "t" }))
		},
		"another mode": func() ([]byte, error) {
			return say(b.addr, request(func(r *link.StreamRequest) { r.Mode = link.StreamBack }))
		},
		"another nonce": func() ([]byte, error) {
			return say(b.addr, request(func(r *link.StreamRequest) { r.Nonce = link.NewNonce() }))
		},
		"somebody else": func() ([]byte, error) {
			return say(b.addr, request(func(r *link.StreamRequest) { r.From = "C" }))
		},
		"the node itself": func() ([]byte, error) {
			return say(b.addr, request(func(r *link.StreamRequest) { r.From = "B" }))
		},
		"half":    func() ([]byte, error) { return say(b.addr, recorded[:20]) },
		"garbage": func() ([]byte, error) { return say(b.addr, append(recorded[:8:8], make([]byte, 1000)...)) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			if answer, _ := say(); len(answer) > 1 {
				t.Errorf("answered %x", answer)
			}
		})
	}
	t.Cleanup(func() { // when the above have run
		if n := len(s.ready); n != 0 {
			t.Errorf("strangers got %d streams", n)
		}
		st, err := a.DialStream(context.Background(), "B", "s")
		if err != nil {
			t.Errorf("and a peer gets none: %v", err)
		} else {
			st.Net.Close()
		}
		if g := b.log.strangers().Garbage; g == 0 {
			t.Error("nothing was counted")
		}
	})
}

// What answers at a peer's address and does not know the secret is not the peer.
func TestAnImpostorGetsNoStream(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	answers := make(chan []byte)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.Write(<-answers)
			io.Copy(io.Discard, c)
			c.Close()
		}
	})
	t.Cleanup(func() {
		ln.Close()
		wg.Wait()
	})
	var divert atomic.Bool
	a, b := linked(t, func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
		if divert.Load() {
			to = endpoint(ln.Addr())
		}
		return Dial(ctx, to)
	}, refused)
	s, _ := b.Listen("s")
	divert.Store(true)
	for _, answer := range [][]byte{
		append([]byte{link.Accepted}, make([]byte, 32)...),
		{byte(link.CodeNotWanted)},
		{0xff},
		[]byte("HTTP/1.1 400 Bad Request\r\n\r\n"),
	} {
		wg.Go(func() { answers <- answer })
		if st, err := a.DialStream(t.Context(), "B", "s"); err == nil {
			t.Errorf("%q made a stream: %v", answer, st)
		}
	}
	// It stands where this node is told that its peer has too many newcomers,
	// which passes.
	wg.Go(func() {
		answers <- link.AppendReject(nil, link.Reject{Code: link.CodeBusy})
		divert.Store(false)
	})
	out, in := open(t, a, b, s)
	joinedUp(t, out, in)
}

// Streams that are being opened when the link ends are opened over the next.
func TestALinkThatEndsIsNoReasonToFail(t *testing.T) {
	hang := make(chan struct{})
	var hanging atomic.Bool
	reached := make(chan struct{}, 10)
	a, b := linked(t, func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
		if hanging.Load() {
			reached <- struct{}{}
			select {
			case <-hang:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		return Dial(ctx, to)
	}, Dial)
	if _, err := b.Listen("s"); err != nil {
		t.Fatal(err)
	}
	hanging.Store(true)
	failed := make(chan error, 1)
	go func() {
		_, err := a.DialStream(t.Context(), "B", "s")
		failed <- err
	}()
	<-reached
	b.Close()
	select {
	case err := <-failed:
		if !errors.Is(err, ErrNoPeer) {
			t.Errorf("its peer has gone: %v", err)
		}
	case <-time.After(waitFor):
		t.Error("it waits for a peer that has gone")
	}
	close(hang)
}

func TestCloseEndsDialsUnderWay(t *testing.T) {
	var wall atomic.Bool
	reached := make(chan struct{}, 10)
	behind := func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
		if wall.Load() {
			reached <- struct{}{}
			return dropped(ctx, to)
		}
		return Dial(ctx, to)
	}
	a, b := linked(t, behind, behind)
	if _, err := a.Listen("s"); err != nil {
		t.Fatal(err)
	}
	wall.Store(true)
	failed := make(chan error, 1)
	go func() {
		_, err := b.DialStream(context.Background(), "A", "s")
		failed <- err
	}()
	<-reached
	b.Close()
	if err := <-failed; !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if _, err := b.DialStream(context.Background(), "A", "s"); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}
