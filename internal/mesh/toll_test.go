package mesh

import (
	"net/netip"
	"testing"
	"time"
)

func TestTollOfHandshakesThatComeToNothing(t *testing.T) {
	var tl toll
	now := time.Unix(1000, 0)
	one, other := source(netip.MustParseAddr("10.0.0.1")), source(netip.MustParseAddr("10.0.0.2"))
	count := func(tries int, refund bool) (n int) {
		for range tries {
			if tl.take(one, now) {
				n++
				if refund {
					tl.refund(one)
				}
			}
		}
		return n
	}
	if n := count(100, false); n != tollBurst {
		t.Errorf("%d at once", n)
	}
	if !tl.take(other, now) {
		t.Error("another source pays for it")
	}
	now = now.Add(time.Second)
	if n := count(100, false); n != 10 {
		t.Errorf("%d in a second", n)
	}
	now = now.Add(time.Hour)
	if n := count(1000, true); n != 1000 {
		t.Errorf("%d of those that come to something", n)
	}
	// All of one IPv6 network count as one.
	a, b := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	if source(a) != source(b) {
		t.Error("one network has several sources")
	}
}

func TestTollForgets(t *testing.T) {
	var tl toll
	now := time.Unix(1000, 0)
	for i := range 3 * maxTollFrom {
		tl.take(source(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})), now)
		if i%1000 == 0 {
			now = now.Add(time.Second)
		}
	}
	if n := len(tl.from); n > maxTollFrom {
		t.Errorf("%d sources are remembered", n)
	}
	if !tl.take(source(netip.MustParseAddr("192.0.2.1")), now.Add(time.Hour)) {
		t.Error("nobody is let in any more")
	}
}
