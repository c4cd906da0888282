package tcpnet_test

import (
	crand "crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/discovery"
	"example.com/tcpnet/internal/link"
	"example.com/tcpnet/internal/secure"
)

// hostile is a member that knows the secret and keeps to none of the rules after that.
type hostile struct {
	t     *testing.T
	guard *secure.Guard
	name  string
	id    link.ID
}

// The largest ID never decides about a link, and so is sent COMMIT at once.
func newHostile(t *testing.T, name string, key []byte) *hostile {
	t.Helper()
	h := &hostile{t: t, name: name, id: link.ID(strings.Repeat("F", link.MaxIDLen))}
	var err error
	h.guard, err = secure.New(secure.Options{Name: name, ID: string(h.id), Secrets: [][]byte{key}})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// call opens a private socket to a node.
func (h *hostile) call(n *tcpnet.Node) *secure.Conn {
	h.t.Helper()
	raw, err := net.Dial("tcp", n.Addrs()[0].String())
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { raw.Close() })
	raw.SetDeadline(time.Now().Add(patience))
	c, err := h.guard.Client(raw)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

// hello returns a preface and HELLO that claims an ID.
func (h *hostile) hello(id link.ID, addrs ...netip.AddrPort) []byte {
	return link.AppendHello(link.AppendPreface(nil, link.KindLink), &link.Hello{
		MinVersion: link.Version, MaxVersion: link.Version, Name: h.name, ID: id,
		Incarnation: link.NewIncarnation(), Label: "hostile", Addrs: addrs,
	})
}

// link is call, and becomes a peer.
func (h *hostile) link(n *tcpnet.Node, addrs ...netip.AddrPort) *secure.Conn {
	h.t.Helper()
	c := h.call(n)
	c.Write(h.hello(h.id, addrs...))
	l := link.New(c, 1)
	for {
		typ, _, err := l.Next()
		if err != nil {
			h.t.Fatal(err)
		}
		if typ == link.FrameCommit {
			go io.Copy(io.Discard, c)
			return c
		}
	}
}

// A siege by a member: what it does harms nobody.
func TestAHostileMember(t *testing.T) {
	name, key, none := cluster(), secret(t), []discovery.Discoverer{}
	a := join(t, tcpnet.Config{Name: name, Discovery: none, Secrets: [][]byte{key}})
	b := join(t, tcpnet.Config{Name: name, Discovery: none, Secrets: [][]byte{key}, Seeds: []string{a.Addrs()[0].String()}})
	wait(t, a, 1)
	wait(t, b, 1)
	first := [2]*tcpnet.Conn{a.Connections()[0], b.Connections()[0]}
	h := newHostile(t, name, key)

	t.Run("claims another's ID", func(t *testing.T) {
		before := a.Status().Strangers.Garbage
		c := h.call(a)
		c.Write(h.hello(link.ID(b.ID())))
		if answer, _ := io.ReadAll(c); len(answer) > 0 {
			t.Errorf("it was answered %d bytes", len(answer))
		}
		if a.Status().Strangers.Garbage == before {
			t.Error("it was not counted")
		}
	})
	t.Run("nonsense in frames of every type", func(t *testing.T) {
		for i := range 260 {
			c := h.link(a)
			payload := make([]byte, rand.IntN(200))
			crand.Read(payload)
			head := binary.BigEndian.AppendUint32(nil, uint32(len(payload)))
			head[0] = byte(i)
			c.Write(append(head, payload...))
			if i%3 == 0 {
				c.Write([]byte{byte(i), 0xff, 0xff, 0xff}) // and a length that no frame has
			}
			c.Cut()
		}
	})
	t.Run("huge lists of peers at wrong addresses", func(t *testing.T) {
		victim, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer victim.Close()
		dialled := countDials(victim)
		at := victim.Addr().(*net.TCPAddr).AddrPort()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		begin := time.Now()
		c := h.link(a)
		for i := range 200 {
			var es []link.Entry
			for j := range 300 {
				es = append(es, link.Entry{ID: link.ID(fmt.Sprintf("ABCD%08X", i*300+j)), Addrs: []netip.AddrPort{at}})
			}
			es = append(es, link.Entry{ID: link.ID(b.ID()), Addrs: []netip.AddrPort{at}})
			if _, err := c.Write(link.AppendPeers(nil, es)); err != nil {
				t.Fatal(err)
			}
		}
		c.Cut()
		c = h.link(a)
		st := a.Status()
		runtime.GC()
		runtime.ReadMemStats(&after)
		if n := len(st.Candidates); n < 1000 || n > 1100 { // fewer: the lists were not looked at
			t.Errorf("%d candidates", len(st.Candidates))
		}
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
			t.Errorf("the heap has grown by %d kB", grown>>10)
		}
		// An attempt a second, of three sockets at the most.
		if n, most := dialled.Load(), 3*int64(time.Since(begin)/time.Second+2); n > most {
			t.Errorf("the victim was dialled %d times in %v", n, time.Since(begin))
		}
		c.Cut()
	})
	t.Run("asks to be dialled where another is", func(t *testing.T) {
		ln, err := a.Listen("there")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		victim, err := net.Listen("tcp", "127.0.0.2:0")
		if err != nil {
			t.Skip(err) // only Linux has all of 127/8 from the beginning
		}
		defer victim.Close()
		dialled := countDials(victim)
		const times = 20
		c := h.call(a)
		c.Write(h.hello(h.id, netip.MustParseAddrPort("127.0.0.1:1"), victim.Addr().(*net.TCPAddr).AddrPort()))
		l := link.New(c, 1)
		for refused := 0; refused < times; {
			typ, p, err := l.Next()
			if err != nil {
				t.Fatal(err)
			}
			switch typ {
			case link.FrameCommit:
				for range times {
					c.Write(link.AppendDial(nil, link.DialBack{Nonce: link.NewNonce(), Service: "there"}))
				}
			case link.FrameNoDial:
				if n, err := link.ParseNoDial(p); err != nil || n.Text != "connection refused" {
					t.Fatalf("%+v, %v", n, err)
				}
				refused++
			}
		}
		if n := dialled.Load(); n > 0 {
			t.Errorf("the other was dialled %d times", n)
		}
		c.Cut()
	})
	for i, n := range []*tcpnet.Node{a, b} {
		if c, ok := n.Connection([]tcpnet.ID{b.ID(), a.ID()}[i]); !ok || c != first[i] {
			t.Errorf("node %d has lost its connection", i)
		}
	}
	if _, err := io.WriteString(first[0], "still here"); err != nil {
		t.Error(err)
	}
	got := make([]byte, 10)
	if _, err := io.ReadFull(first[1], got); err != nil || string(got) != "still here" {
		t.Errorf("read %q, %v", got, err)
	}
}

// countDials accepts and closes what comes in on a listener until that is closed, and
// returns how many there were.
func countDials(ln net.Listener) *atomic.Int64 {
	dialled := new(atomic.Int64)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			dialled.Add(1)
			c.Close()
		}
	}()
	return dialled
}
