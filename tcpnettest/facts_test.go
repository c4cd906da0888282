package tcpnettest

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"example.com/tcpnet/internal/netstack"
)

// A node is told of its sockets what Linux tells of real ones: the figures are those of a
// real connection with which the same was done.
func TestFacts(t *testing.T) {
	Run(t, func(t *testing.T, lan *LAN) {
		a, b := lan.Host("a"), lan.Host("b")
		lns, err := b.process.Listen(context.Background(), ":7")
		if err != nil {
			t.Fatal(err)
		}
		defer lns[0].Close()
		connect := func() (ca, cb nodeConn) {
			dialled, err := a.process.Dial(context.Background(), netip.AddrPortFrom(b.Addr(), 7))
			if err != nil {
				t.Fatal(err)
			}
			accepted, err := lns[0].Accept()
			if err != nil {
				t.Fatal(err)
			}
			return dialled.(nodeConn), accepted.(nodeConn)
		}
		check := func(what string, c net.Conn, want netstack.Facts) {
			t.Helper()
			time.Sleep(time.Second)
			if got := c.(netstack.Socket).Facts(); got != want {
				t.Errorf("%s: %+v, want %+v", what, got, want)
			}
		}
		ca, cb := connect()
		check("new", ca, netstack.Facts{})
		ca.Write(make([]byte, 10))
		check("has written", ca, netstack.Facts{Acked: 10})
		check("is to read", cb, netstack.Facts{Unread: 10, Received: 10})
		ca.CloseWrite()
		check("has ended", ca, netstack.Facts{Acked: 11})
		cb.Read(make([]byte, 4))
		check("has read some", cb, netstack.Facts{Unread: 6, Ended: true, Received: 10})
		cb.Read(make([]byte, 6))
		lan.Cut(a, b)
		cb.Write(make([]byte, 3))
		check("cannot be heard", cb, netstack.Facts{Unsent: 3, Ended: true, Received: 10})
		cb.CloseWrite()
		check("cannot end", cb, netstack.Facts{Unsent: 4, Ended: true, Received: 10})
		lan.Heal()
		time.Sleep(time.Minute)
		check("has been heard", cb, netstack.Facts{Ended: true, Closed: true, Received: 10, Acked: 4})
		check("has heard", ca, netstack.Facts{Unread: 3, Ended: true, Closed: true, Received: 3, Acked: 11})
		ca.Close()
		check("closed", ca, netstack.Facts{})
		cb.Close()

		ca, cb = connect()
		cb.Write(make([]byte, 5))
		ca.SetWriteDeadline(time.Now().Add(time.Second))
		ca.Write(make([]byte, 4*bufferSize))
		check("filled", ca, netstack.Facts{Unread: 5, Unsent: bufferSize, Received: 5, Acked: bufferSize})
		cb.SetLinger(0)
		cb.Close()
		check("reset", ca, netstack.Facts{Unread: 5, Unsent: bufferSize, Ended: true, Closed: true, Received: 5, Acked: bufferSize})
		ca.Close()
	})
}
