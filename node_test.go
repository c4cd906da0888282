package tcpnet_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	"example.com/tcpnet"
)

// patience is how long a test waits for what should happen within milliseconds.
const patience = 20 * time.Second

// cluster returns a name that no other test uses.
func cluster() string {
	var b [6]byte
	rand.Read(b[:])
	return "t" + hex.EncodeToString(b[:])
}

func context20(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// join makes a node on loopback that is closed when the test ends.
func join(t testing.TB, cfg tcpnet.Config) *tcpnet.Node {
	t.Helper()
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	if os.Getenv("TCPNET_TEST_LOG") != "" {
		cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", cfg.ID)
	}
	n, err := tcpnet.Join(context20(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

// accept returns the next new connection of n.
func accept(t testing.TB, n *tcpnet.Node) *tcpnet.Conn {
	t.Helper()
	c, err := n.Accept(context20(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func wait(t testing.TB, n *tcpnet.Node, count int) {
	t.Helper()
	if err := n.Wait(context20(t), count); err != nil {
		t.Fatalf("node %s: waiting for %d connections: %v\n%+v", n.ID(), count, err, n.Status())
	}
}

func TestNodesOfOneNameAreConnected(t *testing.T) {
	name := cluster()
	const count = 5
	var nodes []*tcpnet.Node
	for range count {
		nodes = append(nodes, join(t, tcpnet.Config{Name: name}))
	}
	stranger := join(t, tcpnet.Config{Name: cluster()})
	for _, n := range nodes {
		wait(t, n, count-1)
	}
	// Both ends of every pair hold the two ends of one socket.
	for _, a := range nodes {
		for _, b := range nodes {
			if a == b {
				continue
			}
			ab, ok := a.Connection(b.ID())
			if !ok {
				t.Fatalf("%s has no connection to %s", a.ID(), b.ID())
			}
			ba, _ := b.Connection(a.ID())
			if ab.LocalAddr().String() != ba.RemoteAddr().String() || ab.RemoteAddr().String() != ba.LocalAddr().String() {
				t.Errorf("%v and %v hold different sockets", ab, ba)
			}
		}
	}
	if len(stranger.Connections()) != 0 {
		t.Error("a node of another name is connected")
	}
}

func TestFirstBytesArriveWhole(t *testing.T) {
	name := cluster()
	first := bytes.Repeat([]byte("first bytes "), 1000)
	handler := func(c *tcpnet.Conn) {
		c.Write(first)
		c.CloseWrite()
	}
	a := join(t, tcpnet.Config{Name: name})
	join(t, tcpnet.Config{Name: name, Handler: handler})
	c := accept(t, a)
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, first) {
		t.Fatalf("got %d bytes, %v; want %d", len(got), err, len(first))
	}
}

func TestShutdownIsToldAsLeft(t *testing.T) {
	name := cluster()
	a := join(t, tcpnet.Config{Name: name})
	b := join(t, tcpnet.Config{Name: name})
	ca := accept(t, a)
	cb := accept(t, b)
	fmt.Fprint(cb, "last words")
	down := make(chan error, 1)
	go func() { down <- b.Shutdown(context20(t)) }()
	got, err := io.ReadAll(ca)
	if err != nil || string(got) != "last words" {
		t.Errorf("read %q, %v", got, err)
	}
	fmt.Fprint(ca, "and an answer")
	ca.Close()
	if got, err := io.ReadAll(cb); err != nil || string(got) != "and an answer" {
		t.Errorf("the node that leaves read %q, %v", got, err)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
	<-ca.Context().Done()
	if cause := context.Cause(ca.Context()); !errors.Is(cause, tcpnet.ErrLeft) {
		t.Errorf("cause %v", cause)
	}
	if b.Err() != tcpnet.ErrClosed {
		t.Errorf("Err is %v", b.Err())
	}
}

var _ net.Conn = (*tcpnet.Conn)(nil)
