package tcpnet_test

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"example.com/tcpnet"
)

// A program that does not read for longer than Liveness.Timeout keeps its connections
// and streams: the peer's node answers all the while.
func TestSlowReaderIsNotCutOff(t *testing.T) {
	name := cluster()
	a := join(t, tcpnet.Config{Name: name, Liveness: tcpnet.FastLiveness})
	b := join(t, tcpnet.Config{Name: name, Liveness: tcpnet.FastLiveness})
	ln, err := b.Listen("slow")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c := accept(t, a)
	s, err := a.DialContext(t.Context(), string(b.ID()), "slow")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	done := make(chan error)
	for _, conn := range []net.Conn{c, s} {
		go func() {
			conn.SetWriteDeadline(time.Now().Add(2 * tcpnet.FastLiveness.Timeout))
			for {
				if _, err := conn.Write(make([]byte, 1<<20)); err != nil {
					done <- err
					return
				}
			}
		}()
	}
	for range 2 {
		if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a write to one who does not read: %v", err)
		}
	}
	if err := c.Context().Err(); err != nil {
		t.Error("the connection has ended")
	}
}
