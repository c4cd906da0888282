package tcpnet_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"example.com/tcpnet"
	"example.com/tcpnet/discovery"
)

// safeBuffer is a bytes.Buffer for several goroutines.
type safeBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// relay passes on what two nodes say to each other, and can end the sockets as an
// attacker on the way would: as if the sender had ended them.
type relay struct {
	t       *testing.T
	ln      net.Listener
	to      string
	running sync.WaitGroup

	mu    sync.Mutex // guards what follows
	pairs [][2]*net.TCPConn
}

func newRelay(t *testing.T) *relay {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{t: t, ln: ln}
	t.Cleanup(func() {
		ln.Close()
		r.end(0, func(a, b *net.TCPConn) { a.Close(); b.Close() })
		r.running.Wait()
	})
	return r
}

func (r *relay) run(to string) {
	r.to = to
	r.running.Go(func() {
		for {
			near, err := r.ln.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", r.to)
			if err != nil {
				near.Close()
				continue
			}
			a, b := near.(*net.TCPConn), far.(*net.TCPConn)
			r.mu.Lock()
			r.pairs = append(r.pairs, [2]*net.TCPConn{a, b})
			r.mu.Unlock()
			r.running.Go(func() { io.Copy(a, b); a.CloseWrite() })
			r.running.Go(func() { io.Copy(b, a); b.CloseWrite() })
		}
	})
}

// end does something with all sockets after the first few.
func (r *relay) end(after int, how func(near, far *net.TCPConn)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.pairs[min(after, len(r.pairs)):] {
		how(p[0], p[1])
	}
}

// Somebody on the way who ends the sockets of a connection cannot make a program
// believe that its peer has said all.
func TestACutPrivateConnectionIsNoEnd(t *testing.T) {
	name, key, none := cluster(), secret(t), []discovery.Discoverer{}
	r := newRelay(t)
	a := join(t, tcpnet.Config{Name: name, Discovery: none, Secrets: [][]byte{key}, ID: "AA"})
	r.run(a.Addrs()[0].String())
	b := join(t, tcpnet.Config{Name: name, Discovery: none, Secrets: [][]byte{key}, ID: "BB", Seeds: []string{r.ln.Addr().String()}})
	ca, cb := accept(t, a), accept(t, b)
	io.WriteString(ca, "the first half")
	got := make([]byte, 14)
	if _, err := io.ReadFull(cb, got); err != nil {
		t.Fatal(err)
	}
	// The link is the first socket; it stays.
	r.end(1, func(near, far *net.TCPConn) { near.CloseWrite(); far.CloseWrite() })
	for _, c := range []*tcpnet.Conn{ca, cb} {
		n, err := c.Read(make([]byte, 1))
		if n != 0 || err == io.EOF || !errors.Is(err, io.ErrUnexpectedEOF) || !errors.Is(err, tcpnet.ErrReset) {
			t.Errorf("read %d, %v", n, err)
		}
	}
	for _, c := range []*tcpnet.Conn{ca, cb} {
		<-c.Context().Done()
		if cause := context.Cause(c.Context()); !errors.Is(cause, tcpnet.ErrReset) {
			t.Errorf("the cause is %v", cause)
		}
	}
	// And there is another connection soon.
	wait(t, a, 1)
	wait(t, b, 1)
}

// The same for streams, and a stream that ends well.
func TestStreamsOfAPrivateCluster(t *testing.T) {
	name, key, none := cluster(), secret(t), []discovery.Discoverer{}
	r := newRelay(t)
	a := join(t, tcpnet.Config{Name: name, Discovery: none, Secrets: [][]byte{key}, ID: "AA"})
	r.run(a.Addrs()[0].String())
	b := join(t, tcpnet.Config{Name: name, Discovery: none, Secrets: [][]byte{key}, ID: "BB", Seeds: []string{r.ln.Addr().String()}})
	wait(t, b, 1)
	ln, err := a.Listen("echo")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn, 2)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	c, err := b.DialContext(context20(t), "AA", "echo")
	if err != nil {
		t.Fatal(err)
	}
	s := <-accepted
	if c.(*tcpnet.Stream).Peer().TLS == nil || s.(*tcpnet.Stream).Peer().TLS == nil {
		t.Error("the stream is not encrypted")
	}
	io.WriteString(c, "all that there is")
	c.(*tcpnet.Stream).CloseWrite()
	if got, err := io.ReadAll(s); string(got) != "all that there is" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	r.mu.Lock()
	before := len(r.pairs)
	r.mu.Unlock()
	if c, err = b.DialContext(context20(t), "AA", "echo"); err != nil {
		t.Fatal(err)
	}
	s = <-accepted
	io.WriteString(c, "half of")
	got := make([]byte, 7)
	if _, err := io.ReadFull(s, got); err != nil {
		t.Fatal(err)
	}
	r.end(before, func(near, far *net.TCPConn) { near.CloseWrite(); far.CloseWrite() })
	if _, err := io.ReadAll(s); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a stream that was cut ends with %v", err)
	}
	// A node's own services are private, too.
	if c, err = a.DialContext(context20(t), "AA", "echo"); err != nil {
		t.Fatal(err)
	}
	c.Close()
}
