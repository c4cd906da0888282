package tcpnet_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/discovery"
)

// much is more than the sockets of a connection hold.
const much = 24 << 20

// roomy keeps much.
var roomy = tcpnet.Queue{Size: 4 * much}

// When a whole cluster is stopped, nodes leave while others do, and what was sent before
// arrives all the same.
func TestBothLeaveAndAllArrives(t *testing.T) {
	for name, later := range map[string]bool{"at once": false, "one hears the other's goodbye": true} {
		t.Run(name, func(t *testing.T) {
			name := cluster()
			a := join(t, tcpnet.Config{Name: name, Queue: roomy})
			b := join(t, tcpnet.Config{Name: name, Queue: roomy})
			ca, cb := accept(t, a), accept(t, b)
			ca.Send(bytes.Repeat([]byte("a"), much))
			cb.Send(bytes.Repeat([]byte("b"), much))
			down := make(chan error, 2)
			go func() { down <- b.Shutdown(context20(t)) }()
			if later {
				<-ca.Context().Done()
			}
			go func() { down <- a.Shutdown(context20(t)) }()
			read := make(chan int64, 2)
			for _, c := range []*tcpnet.Conn{ca, cb} {
				go func() {
					n, err := io.Copy(io.Discard, c)
					if err != nil {
						t.Errorf("after %d bytes: %v", n, err)
					}
					read <- n
				}()
			}
			for range 2 {
				if n := <-read; n != much {
					t.Errorf("%d of %d bytes have arrived", n, much)
				}
			}
			for range 2 {
				if err := <-down; err != nil {
					t.Errorf("Shutdown: %v", err)
				}
			}
		})
	}
}

// gate is a Discoverer whose sessions end when they are let.
type gate struct{ closing, release chan struct{} }

func newGate() *gate { return &gate{make(chan struct{}), make(chan struct{})} }

func (g *gate) Start(context.Context, discovery.Self, discovery.Sink) (io.Closer, error) {
	return g, nil
}

func (g *gate) Close() error {
	close(g.closing)
	<-g.release
	return nil
}

// A connection that comes up while Shutdown withdraws the node from discovery is one of
// those that it lets finish.
func TestShutdownFinishesALateConnection(t *testing.T) {
	name, g := cluster(), newGate()
	a := join(t, tcpnet.Config{Name: name, Discovery: []discovery.Discoverer{g}, Queue: roomy})
	down := make(chan error, 1)
	go func() { down <- a.Shutdown(context20(t)) }()
	<-g.closing
	b := join(t, tcpnet.Config{Name: name, Discovery: []discovery.Discoverer{}, Seeds: []string{a.Addrs()[0].String()}})
	wait(t, a, 1)
	cb := accept(t, b)
	a.Broadcast(make([]byte, much))
	close(g.release)
	if n, err := io.Copy(io.Discard, cb); n != much || err != nil {
		t.Errorf("%d of %d bytes have arrived: %v", n, much, err)
	}
	cb.Close()
	if err := <-down; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// The context of Shutdown bounds discovery's part, too.
func TestShutdownDoesNotWaitForDiscovery(t *testing.T) {
	name, g := cluster(), newGate()
	a := join(t, tcpnet.Config{Name: name, Discovery: []discovery.Discoverer{g}})
	b := join(t, tcpnet.Config{Name: name, Discovery: []discovery.Discoverer{}, Seeds: []string{a.Addrs()[0].String()}})
	cb := accept(t, b)
	ctx, cancel := context.WithCancel(t.Context())
	down := make(chan error, 1)
	go func() { down <- a.Shutdown(ctx) }()
	<-g.closing
	cancel()
	select { // although discovery has not ended
	case <-cb.Context().Done():
	case <-time.After(patience):
		t.Error("the connection is still there")
	}
	close(g.release)
	if err := <-down; !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v", err)
	}
	if err := a.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown of a closed node: %v", err)
	}
}

// A program that has no use for its connections, but for streams, keeps nobody waiting:
// neither its own node nor those that leave after it.
func TestLeavingWithConnectionsThatNobodyReads(t *testing.T) {
	name := cluster()
	nodes := make([]*tcpnet.Node, 6)
	for i := range nodes {
		nodes[i] = join(t, tcpnet.Config{Name: name})
	}
	for _, n := range nodes {
		wait(t, n, len(nodes)-1)
	}
	begin := time.Now()
	down := make(chan error, len(nodes))
	for _, n := range nodes {
		go func() { down <- n.Shutdown(context20(t)) }()
	}
	for range nodes {
		if err := <-down; err != nil {
			t.Error(err)
		}
	}
	if took := time.Since(begin); took > 4*time.Second { // one after the other, or 5 s of silence
		t.Errorf("it took %v", took)
	}
}

// What has arrived stays to be read, also by a program that was kept from reading for a
// while; and who has sent it need not wait for that.
func TestUnreadBytesAreKept(t *testing.T) {
	t.Parallel()
	name := cluster()
	a := join(t, tcpnet.Config{Name: name})
	b := join(t, tcpnet.Config{Name: name})
	ca, cb := accept(t, a), accept(t, b)
	cb.CloseWrite()
	const text = "what is left to read"
	ca.Write([]byte(text))
	if err := a.Shutdown(context20(t)); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	<-cb.Context().Done()
	time.Sleep(6 * time.Second) // longer than a connection is kept that has nothing to read
	if got, err := io.ReadAll(cb); string(got) != text || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
}

// Shutdown tells if something has not arrived because the peer does not read.
func TestShutdownTellsWhatHasNotArrived(t *testing.T) {
	t.Parallel()
	name := cluster()
	a := join(t, tcpnet.Config{Name: name, Queue: roomy})
	b := join(t, tcpnet.Config{Name: name, Label: "sleepy"})
	ca, cb := accept(t, a), accept(t, b)
	ca.Send(make([]byte, much))
	cb.Read(make([]byte, 1)) // a program that reads, and then stops
	if err := a.Shutdown(context20(t)); !errors.Is(err, tcpnet.ErrNotDelivered) || !strings.Contains(err.Error(), "sleepy") {
		t.Errorf("Shutdown: %v", err)
	}
}

// readSlowly reads all that comes, a little at a time.
func readSlowly(t *testing.T, c *tcpnet.Conn) <-chan int {
	read := make(chan int, 1)
	go func() {
		n, b := 0, make([]byte, 10_000)
		for {
			k, err := c.Read(b)
			n += k
			if err != nil {
				if err != io.EOF {
					t.Errorf("after %d bytes: %v", n, err)
				}
				read <- n
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	return read
}

// A program that reads slowly sees the end as well, also if its node has closed the
// connection by then; and Shutdown lets it read what a peer has sent that has gone.
func TestSlowReadersSeeTheEnd(t *testing.T) {
	for name, early := range map[string]bool{"both leave": false, "the peer has gone before": true} {
		t.Run(name, func(t *testing.T) {
			name := cluster()
			a := join(t, tcpnet.Config{Name: name})
			b := join(t, tcpnet.Config{Name: name})
			ca, cb := accept(t, a), accept(t, b)
			const size = 100_000
			cb.CloseWrite()
			io.Copy(io.Discard, ca)
			ca.Send(make([]byte, size))
			down := make(chan error, 2)
			go func() { down <- a.Shutdown(context20(t)) }()
			if early {
				if err := <-down; err != nil {
					t.Error(err)
				}
				down <- nil
			}
			read := readSlowly(t, cb)
			go func() { down <- b.Shutdown(context20(t)) }()
			if n := <-read; n != size {
				t.Errorf("%d of %d bytes were read", n, size)
			}
			for range 2 {
				if err := <-down; err != nil {
					t.Errorf("Shutdown: %v", err)
				}
			}
		})
	}
}

// A connection of a private cluster that brings something, and whose peer has gone, waits
// for a program that is late to accept it.
func TestAFirstMessageIsReadLate(t *testing.T) {
	for name, secrets := range map[string][][]byte{"open": nil, "private": {secret(t)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			name := cluster()
			a := join(t, tcpnet.Config{Name: name, Secrets: secrets})
			b := join(t, tcpnet.Config{Name: name, Secrets: secrets, Handler: func(c *tcpnet.Conn) {
				io.WriteString(c, "hello")
				c.CloseWrite()
			}})
			wait(t, a, 1)
			left := events(t, a)
			b.Close()
			await[tcpnet.Left](t, left)
			time.Sleep(500 * time.Millisecond)
			if got, err := io.ReadAll(accept(t, a)); string(got) != "hello" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}
