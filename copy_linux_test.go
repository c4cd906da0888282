package tcpnet_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"
	"unsafe"

	"example.com/tcpnet"
	"golang.org/x/sys/unix"
)

// reset resets the socket of c, as something on the way may.
func reset(t *testing.T, c *tcpnet.Conn) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		// A TCP socket that is connected to nothing is reset.
		var nothing [unix.SizeofSockaddrAny]byte
		if _, _, errno := unix.Syscall(unix.SYS_CONNECT, fd, uintptr(unsafe.Pointer(&nothing)), uintptr(len(nothing))); errno != 0 {
			t.Error(errno)
		}
	})
}

// A connection whose socket is reset ends, however the program reads or writes it.
func TestCopiesNoticeAReset(t *testing.T) {
	for name, use := range map[string]func(c *tcpnet.Conn){
		"Read":        func(c *tcpnet.Conn) { c.Read(make([]byte, 1)) },
		"copied from": func(c *tcpnet.Conn) { io.Copy(io.Discard, c) },
		"copied to": func(c *tcpnet.Conn) {
			r, w := io.Pipe()
			go func() {
				for {
					if _, err := w.Write([]byte("x")); err != nil {
						return
					}
				}
			}()
			io.Copy(c, r)
			r.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			name := cluster()
			a := join(t, tcpnet.Config{Name: name})
			b := join(t, tcpnet.Config{Name: name})
			ca, cb := accept(t, a), accept(t, b)
			used := make(chan struct{})
			go func() {
				use(ca)
				close(used)
			}()
			reset(t, cb)
			<-used
			select {
			case <-ca.Context().Done():
				if cause := context.Cause(ca.Context()); !errors.Is(cause, tcpnet.ErrReset) {
					t.Errorf("it has ended because %v", cause)
				}
			case <-time.After(patience):
				t.Error("it counts as live")
			}
		})
	}
}

// What a copy moves counts while it is under way, and is not counted twice.
func TestCopiesAreCounted(t *testing.T) {
	for name, secrets := range map[string][][]byte{"open": nil, "private": {secret(t)}} {
		t.Run(name, func(t *testing.T) {
			cluster := cluster()
			a := join(t, tcpnet.Config{Name: cluster, Secrets: secrets})
			b := join(t, tcpnet.Config{Name: cluster, Secrets: secrets})
			ca, cb := accept(t, a), accept(t, b)
			r, w := io.Pipe()
			go io.Copy(ca, r)
			go io.Copy(io.Discard, cb)
			const size = 1 << 20
			w.Write(make([]byte, size))
			counted := func(who string, get func() uint64) {
				t.Helper()
				begin := time.Now()
				for get() < size && time.Since(begin) < patience {
					time.Sleep(time.Millisecond)
				}
				if n := get(); n != size {
					t.Errorf("%s: %d of %d bytes", who, n, size)
				}
			}
			read, written := func() uint64 { return b.Stats().BytesRead }, func() uint64 { return a.Stats().BytesWritten }
			counted("read", read)
			counted("written", written)
			w.Close()
			ca.Close()
			<-cb.Context().Done()
			cb.Close()
			counted("read, and closed", read)
			counted("written, and closed", written)
		})
	}
}
