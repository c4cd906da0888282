package tcpnettest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/tcpnettest"
)

// duet runs a test with two hosts and a connection between them.
func duet(t *testing.T, f func(t *testing.T, lan *tcpnettest.LAN, a, b *tcpnettest.Host, ca, cb *tcpnettest.Conn)) {
	tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
		a, b := lan.Host("a"), lan.Host("b")
		ca, cb := connect(t, a, b)
		defer ca.Close()
		defer cb.Close()
		f(t, lan, a, b, ca, cb)
	})
}

// connect returns both ends of a connection from a to b.
func connect(t *testing.T, a, b *tcpnettest.Host) (ca, cb *tcpnettest.Conn) {
	t.Helper()
	ln, err := b.Listen(":7")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialled, err := a.Dial(t.Context(), b.Name()+":7")
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return dialled.(*tcpnettest.Conn), accepted.(*tcpnettest.Conn)
}

func TestStreamSurvivesLossAndReordering(t *testing.T) {
	duet(t, func(t *testing.T, lan *tcpnettest.LAN, a, b *tcpnettest.Host, ca, cb *tcpnettest.Conn) {
		lan.SetConditions(tcpnettest.Conditions{Latency: 5 * time.Millisecond, Jitter: 30 * time.Millisecond, Loss: 0.2})
		sent := make([]byte, 3<<20)
		rand.NewChaCha8([32]byte{}).Read(sent)
		go func() {
			ca.Write(sent)
			ca.CloseWrite()
		}()
		begin := time.Now()
		got, err := io.ReadAll(cb)
		if err != nil || !bytes.Equal(got, sent) {
			t.Errorf("read %d of %d bytes, %v", len(got), len(sent), err)
		}
		t.Logf("after %v", time.Since(begin))
		// The other direction is open still.
		go cb.Write([]byte("thanks"))
		if _, err := io.ReadFull(ca, make([]byte, 6)); err != nil {
			t.Error(err)
		}
	})
}

func TestBandwidth(t *testing.T) {
	duet(t, func(t *testing.T, lan *tcpnettest.LAN, a, b *tcpnettest.Host, ca, cb *tcpnettest.Conn) {
		lan.SetConditions(tcpnettest.Conditions{Bandwidth: 1 << 20})
		begin := time.Now()
		go func() { ca.Write(make([]byte, 10<<20)); ca.CloseWrite() }()
		if n, err := io.Copy(io.Discard, cb); n != 10<<20 || err != nil {
			t.Error(n, err)
		}
		if took := time.Since(begin); took < 10*time.Second || took > 11*time.Second {
			t.Errorf("10 MiB at 1 MiB/s took %v", took)
		}
	})
}

func TestSlowReaderBlocksTheWriter(t *testing.T) {
	duet(t, func(t *testing.T, lan *tcpnettest.LAN, a, b *tcpnettest.Host, ca, cb *tcpnettest.Conn) {
		ca.SetWriteDeadline(time.Now().Add(time.Hour))
		n, err := ca.Write(make([]byte, 1<<20))
		if n != 256<<10 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("wrote %d, %v", n, err)
		}
		ca.SetWriteDeadline(time.Time{})
		go func() { ca.Write(make([]byte, 1<<20)); ca.CloseWrite() }()
		got, err := io.ReadAll(cb)
		if len(got) != 1<<20+256<<10 || err != nil {
			t.Errorf("read %d, %v", len(got), err)
		}
	})
}

func TestErrorsOfTCP(t *testing.T) {
	read := func(c net.Conn) error {
		c.SetReadDeadline(time.Now().Add(time.Hour))
		_, err := io.ReadFull(c, make([]byte, 1))
		return err
	}
	for name, c := range map[string]struct {
		fault func(a, b *tcpnettest.Host, ca, cb *tcpnettest.Conn)
		want  error
	}{
		"closed": {func(a, b *tcpnettest.Host, ca, cb *tcpnettest.Conn) { cb.Close() }, io.EOF},
		"closed with unread data": {func(a, b *tcpnettest.Host, ca, cb *tcpnettest.Conn) {
			ca.Write([]byte("x"))
			time.Sleep(time.Second)
			cb.Close()
		}, syscall.ECONNRESET},
		"crashed":              {func(a, b *tcpnettest.Host, ca, cb *tcpnettest.Conn) { b.Crash() }, io.EOF},
		"powered off":          {func(a, b *tcpnettest.Host, ca, cb *tcpnettest.Conn) { b.PowerOff() }, os.ErrDeadlineExceeded},
		"powered off, writing": {func(a, b *tcpnettest.Host, ca, cb *tcpnettest.Conn) { b.PowerOff(); ca.Write([]byte("x")) }, syscall.ETIMEDOUT},
		"rebooted, writing": {func(a, b *tcpnettest.Host, ca, cb *tcpnettest.Conn) {
			b.PowerOff()
			time.Sleep(time.Minute)
			b.PowerOn()
			ca.Write([]byte("x"))
		}, syscall.ECONNRESET},
		"powered off, kept alive": {func(a, b *tcpnettest.Host, ca, cb *tcpnettest.Conn) {
			ca.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true})
			b.PowerOff()
		}, syscall.ETIMEDOUT},
		"frozen": {func(a, b *tcpnettest.Host, ca, cb *tcpnettest.Conn) { b.Freeze(); cb.Close() }, os.ErrDeadlineExceeded},
		"thawed": {func(a, b *tcpnettest.Host, ca, cb *tcpnettest.Conn) {
			b.Freeze()
			cb.Close()
			time.Sleep(time.Minute)
			b.Thaw()
		}, io.EOF},
		"read half closed": {func(a, b *tcpnettest.Host, ca, cb *tcpnettest.Conn) { ca.CloseRead() }, io.EOF},
		"own end closed":   {func(a, b *tcpnettest.Host, ca, cb *tcpnettest.Conn) { ca.Close() }, net.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			duet(t, func(t *testing.T, lan *tcpnettest.LAN, a, b *tcpnettest.Host, ca, cb *tcpnettest.Conn) {
				c.fault(a, b, ca, cb)
				if err := read(ca); !errors.Is(err, c.want) {
					t.Errorf("read: %v, want %v", err, c.want)
				}
			})
		})
	}
}

// dialEnds checks what comes of a dial, and when.
func dialEnds(ctx context.Context, t *testing.T, from *tcpnettest.Host, addr string, want error, after time.Duration) {
	t.Helper()
	begin := time.Now()
	conn, err := from.Dial(ctx, addr)
	if !errors.Is(err, want) {
		t.Errorf("dial: %v, want %v", err, want)
	}
	if took := time.Since(begin); (took - after).Abs() > after/20 {
		t.Errorf("after %v, want %v", took, after)
	}
	if conn != nil {
		conn.Close()
	}
}

func TestErrorsOfDial(t *testing.T) {
	for name, c := range map[string]struct {
		fault func(lan *tcpnettest.LAN, a, b *tcpnettest.Host)
		addr  string
		want  error
		after time.Duration
	}{
		"nobody listens":    {func(*tcpnettest.LAN, *tcpnettest.Host, *tcpnettest.Host) {}, "b:8", syscall.ECONNREFUSED, 200 * time.Microsecond},
		"refused":           {func(l *tcpnettest.LAN, a, b *tcpnettest.Host) { l.Set(a, b, tcpnettest.RefuseDials) }, "b:7", syscall.ECONNREFUSED, 100 * time.Microsecond},
		"dropped":           {func(l *tcpnettest.LAN, a, b *tcpnettest.Host) { b.Firewall(tcpnettest.DropDials) }, "b:7", os.ErrDeadlineExceeded, 10 * time.Second},
		"answers dropped":   {func(l *tcpnettest.LAN, a, b *tcpnettest.Host) { l.Set(b, a, tcpnettest.Drop) }, "b:7", os.ErrDeadlineExceeded, 10 * time.Second},
		"no such address":   {func(*tcpnettest.LAN, *tcpnettest.Host, *tcpnettest.Host) {}, "10.0.1.77:7", syscall.EHOSTUNREACH, 3 * time.Second},
		"no route":          {func(*tcpnettest.LAN, *tcpnettest.Host, *tcpnettest.Host) {}, "192.0.2.1:7", syscall.ENETUNREACH, 0},
		"cable out":         {func(_ *tcpnettest.LAN, a, _ *tcpnettest.Host) { a.Unplug("eth0") }, "b:7", os.ErrDeadlineExceeded, 10 * time.Second},
		"interface down":    {func(_ *tcpnettest.LAN, a, _ *tcpnettest.Host) { a.SetUp("eth0", false) }, "b:7", syscall.ENETUNREACH, 0},
		"the second SYN":    {func(l *tcpnettest.LAN, a, b *tcpnettest.Host) { l.Cut(a, b); time.AfterFunc(time.Second/2, l.Heal) }, "b:7", nil, time.Second + 200*time.Microsecond},
		"loopback":          {func(*tcpnettest.LAN, *tcpnettest.Host, *tcpnettest.Host) {}, "127.0.0.1:9", nil, 20 * time.Microsecond},
		"own name":          {func(*tcpnettest.LAN, *tcpnettest.Host, *tcpnettest.Host) {}, "a:9", nil, 20 * time.Microsecond},
		"IPv6 link-local":   {func(*tcpnettest.LAN, *tcpnettest.Host, *tcpnettest.Host) {}, "[fe80::2%eth0]:7", nil, 200 * time.Microsecond},
		"other side frozen": {func(_ *tcpnettest.LAN, _, b *tcpnettest.Host) { b.Freeze() }, "b:7", nil, 200 * time.Microsecond},
	} {
		t.Run(name, func(t *testing.T) {
			tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
				a, b := lan.Host("a"), lan.Host("b")
				a.AddAddr("eth0", prefix("fe80::1/64"))
				b.AddAddr("eth0", prefix("fe80::2/64"))
				for h, addr := range map[*tcpnettest.Host]string{a: ":9", b: ":7"} {
					if _, err := h.Listen(addr); err != nil {
						t.Fatal(err)
					}
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				c.fault(lan, a, b)
				dialEnds(ctx, t, a, c.addr, c.want, c.after)
			})
		})
	}
}

// A multicast leaves an interface in its turn, as all packets do. What was sent after it
// did not wait any more for what was sent before it.
func TestBandwidthWithMulticast(t *testing.T) {
	tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
		a, b, c := lan.Host("a"), lan.Host("b"), lan.Host("c")
		toB, inB := connect(t, a, b)
		toC, inC := connect(t, a, c)
		lan.SetConditions(tcpnettest.Conditions{Bandwidth: 1 << 20})
		begin := time.Now()
		toB.Write(make([]byte, 128<<10))
		toB.Close()
		before := a.Stats().Datagrams
		a.Join(tcpnet.Config{})
		time.Sleep(time.Millisecond)
		if a.Stats().Datagrams == before {
			t.Fatal("no multicast")
		}
		toC.Write(make([]byte, 128<<10))
		toC.Close()
		for _, in := range []io.Reader{inB, inC} {
			if n, err := io.Copy(io.Discard, in); n != 128<<10 || err != nil {
				t.Error(n, err)
			}
		}
		if took := time.Since(begin); took < 250*time.Millisecond {
			t.Errorf("256 KiB at 1 MiB/s took %v", took)
		}
	})
}

// After the end of the stream an error is for Write alone, and says that nobody reads.
func TestResetAfterTheEnd(t *testing.T) {
	for _, reads := range []string{"before the reset", "before the error", "after the error"} {
		t.Run(reads, func(t *testing.T) {
			duet(t, func(t *testing.T, lan *tcpnettest.LAN, a, b *tcpnettest.Host, ca, cb *tcpnettest.Conn) {
				read := func(when string) {
					if when != reads {
						return
					}
					for range 2 {
						if n, err := ca.Read(make([]byte, 1)); n != 0 || err != io.EOF {
							t.Errorf("read: %d, %v", n, err)
						}
					}
				}
				cb.Close()
				time.Sleep(time.Second)
				read("before the reset")
				if _, err := ca.Write([]byte("x")); err != nil {
					t.Errorf("the first write: %v", err)
				}
				time.Sleep(time.Second)
				read("before the error")
				for range 2 {
					if _, err := ca.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
						t.Errorf("a later write: %v", err)
					}
				}
				read("after the error")
			})
		})
	}
}

func TestReadNothingAfterTheDeadline(t *testing.T) {
	duet(t, func(t *testing.T, lan *tcpnettest.LAN, a, b *tcpnettest.Host, ca, cb *tcpnettest.Conn) {
		ca.SetReadDeadline(time.Now())
		if n, err := ca.Read(nil); n != 0 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	})
}

// A name stands for all addresses of its host, which are tried in turn, each for its
// share of the time.
func TestDialTriesAllAddresses(t *testing.T) {
	for name, c := range map[string]struct {
		fault func(b *tcpnettest.Host)
		want  error
		after time.Duration
	}{
		"the first refuses":  {func(*tcpnettest.Host) {}, nil, 400 * time.Microsecond},
		"the first is gone":  {func(b *tcpnettest.Host) { b.Unplug("eth0") }, nil, 2 * time.Second},
		"the second is gone": {func(b *tcpnettest.Host) { b.Unplug("eth1") }, syscall.ECONNREFUSED, 3 * time.Second},
		"both are gone":      {func(b *tcpnettest.Host) { b.PowerOff() }, os.ErrDeadlineExceeded, 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
				a, b := lan.Host("a"), lan.Host("b")
				second := lan.Switch()
				a.Attach(second)
				b.Attach(second)
				if _, err := b.Listen("10.0.2.2:7"); err != nil {
					t.Fatal(err)
				}
				c.fault(b)
				ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
				defer cancel()
				dialEnds(ctx, t, a, "b:7", c.want, c.after)
			})
		})
	}
}
