package tcpnettest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/tcpnettest"
)

// A peer of one that leaves may take its time to answer, as long as it goes on. It was
// cut off after five seconds, and the other side took what had come for all.
func TestLongAnswerToOneThatLeaves(t *testing.T) {
	open := map[string]func(t *testing.T, na, nb *tcpnet.Node, ca, cb *tcpnet.Conn) (out, in net.Conn){
		"connection": func(_ *testing.T, _, _ *tcpnet.Node, ca, cb *tcpnet.Conn) (out, in net.Conn) { return ca, cb },
		"stream": func(t *testing.T, na, nb *tcpnet.Node, ca, cb *tcpnet.Conn) (out, in net.Conn) {
			ln, err := nb.Listen("answers")
			if err != nil {
				t.Fatal(err)
			}
			if out, err = na.DialContext(t.Context(), string(nb.ID()), "answers"); err != nil {
				t.Fatal(err)
			}
			if in, err = ln.Accept(); err != nil {
				t.Fatal(err)
			}
			ca.Close()
			cb.Close()
			return out, in
		},
	}
	for name, open := range open {
		t.Run(name, func(t *testing.T) {
			tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
				na, nb, ca, cb := couple(t, lan.Host("a"), lan.Host("b"))
				out, in := open(t, na, nb, ca, cb)
				down := make(chan error, 1)
				go func() { down <- nb.Shutdown(t.Context()) }()
				heard := make(chan int64, 1)
				go func() {
					n, err := io.Copy(io.Discard, in)
					if err != nil {
						t.Errorf("after %d bytes: %v", n, err)
					}
					heard <- n
				}()
				if _, err := io.Copy(io.Discard, out); err != nil {
					t.Errorf("a reads %v", err)
				}
				const parts = 80
				for range parts {
					if _, err := out.Write(make([]byte, 1000)); err != nil {
						t.Errorf("a writes: %v", err)
						break
					}
					time.Sleep(200 * time.Millisecond)
				}
				out.Close()
				if n := <-heard; n != parts*1000 {
					t.Errorf("%d of %d bytes were heard", n, parts*1000)
				}
				if err := <-down; err != nil {
					t.Errorf("Shutdown: %v", err)
				}
			})
		})
	}
}

// Nothing is written to a peer that is lost, also by programs that set a deadline before
// each write.
func TestWritesToALostPeer(t *testing.T) {
	tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
		a, b := lan.Host("a"), lan.Host("b")
		na, nb, ca, _ := couple(t, a, b)
		if _, err := nb.Listen("s"); err != nil {
			t.Fatal(err)
		}
		s, err := na.DialContext(t.Context(), string(nb.ID()), "s")
		if err != nil {
			t.Fatal(err)
		}
		lan.Cut(a, b)
		<-ca.Context().Done()
		time.Sleep(time.Millisecond)
		for _, c := range []net.Conn{ca, s} {
			c.SetWriteDeadline(time.Now().Add(time.Minute))
			if n, err := c.Write([]byte("x")); !errors.Is(err, tcpnet.ErrTimeout) {
				t.Errorf("%T: %d, %v", c, n, err)
			}
		}
	})
}

// Who cannot open a stream because the other is leaving, or because its own context has
// ended, is told so.
func TestDialToldWhy(t *testing.T) {
	tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
		na, nb, _, _ := couple(t, lan.Host("a"), lan.Host("b"))
		lan.SetConditions(tcpnettest.Conditions{Latency: 20 * time.Millisecond})
		enough := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(10*time.Millisecond, func() { cancel(enough) })
		if _, err := na.DialContext(ctx, string(nb.ID()), "s"); !errors.Is(err, context.Canceled) || !errors.Is(err, enough) {
			t.Errorf("the context has ended: %v", err)
		}
		down := make(chan error, 1)
		go func() { down <- nb.Shutdown(t.Context()) }()
		for {
			_, err := na.DialContext(t.Context(), string(nb.ID()), "s")
			if errors.Is(err, tcpnet.ErrNoPeer) {
				break
			}
			if !errors.Is(err, tcpnet.ErrNoService) {
				t.Fatalf("one that leaves: %v", err)
			}
		}
		na.Close()
		<-down
	})
}

// What was written to a machine without power has not arrived, and Shutdown says so. It
// could not tell on a simulated network, and was content.
func TestShutdownTellsOfAMachineWithoutPower(t *testing.T) {
	tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
		a, b := lan.Host("a"), lan.Host("b")
		na, _, ca, _ := couple(t, a, b)
		b.PowerOff()
		if _, err := ca.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := na.Shutdown(t.Context()); !errors.Is(err, tcpnet.ErrNotDelivered) {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

// Shutdown waits until the peer's machine has all, if its program is slow to make room.
func TestShutdownWaitsForASlowReader(t *testing.T) {
	tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
		na, _, ca, cb := couple(t, lan.Host("a"), lan.Host("b"))
		const size, rate = 200_000, 10_000 // bytes, and bytes a second
		const buffer = 128 << 10           // what b's machine takes at once
		heard := make(chan int, 1)
		go func() {
			var n int
			for b := make([]byte, 1000); ; {
				k, err := cb.Read(b)
				if n += k; err != nil {
					break
				}
				time.Sleep(time.Duration(k) * time.Second / rate)
			}
			heard <- n
		}()
		if _, err := ca.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		err := na.Shutdown(t.Context())
		if took := time.Since(begin); err != nil || took < (size-buffer)*time.Second/rate {
			t.Errorf("Shutdown after %v: %v", took, err)
		}
		if n := <-heard; n != size {
			t.Errorf("%d bytes were heard", n)
		}
	})
}

// A peer that dies while a node leaves has not got what was under way.
func TestAPeerDiesWhileOneLeaves(t *testing.T) {
	tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
		a, b := lan.Host("a"), lan.Host("b")
		na, _, ca, _ := couple(t, a, b)
		ca.Send(make([]byte, 700<<10)) // which b does not read
		time.AfterFunc(time.Second, b.Crash)
		if err := na.Shutdown(t.Context()); !errors.Is(err, tcpnet.ErrNotDelivered) {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

// A process that is killed writes nothing any more.
func TestACrashWritesNoState(t *testing.T) {
	end := map[string]func(h *tcpnettest.Host, n *tcpnet.Node){
		"crash":     func(h *tcpnettest.Host, _ *tcpnet.Node) { h.Crash() },
		"power off": func(h *tcpnettest.Host, _ *tcpnet.Node) { h.PowerOff() },
		"close":     func(_ *tcpnettest.Host, n *tcpnet.Node) { n.Close() },
	}
	for name, end := range end {
		path := filepath.Join(t.TempDir(), "state")
		t.Run(name, func(t *testing.T) {
			tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
				a := lan.Host("a")
				lan.Host("b").Join(tcpnet.Config{})
				n := a.Join(tcpnet.Config{StateFile: path})
				n.Wait(t.Context(), 1)
				time.Sleep(100 * time.Millisecond)
				end(a, n)
				time.Sleep(time.Minute)
			})
			if _, err := os.Stat(path); (err == nil) != (name == "close") {
				t.Errorf("the file: %v", err)
			}
		})
	}
}
