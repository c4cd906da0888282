package mesh

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// knock is a socket that knows whether it was closed.
type knock struct {
	net.Conn
	closed bool
}

func (k *knock) Close() error { k.closed = true; return nil }

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

func TestGateBoundsEachSource(t *testing.T) {
	g := newGate(64, 4)
	var leave []func() bool
	for i := range 4 {
		l, ok := g.enter(&knock{}, ip("10.0.0.1"), false, 0)
		if !ok {
			t.Fatalf("number %d is turned away", i+1)
		}
		leave = append(leave, l)
	}
	if _, ok := g.enter(&knock{}, ip("10.0.0.1"), false, 0); ok {
		t.Error("number 5 of one address gets in")
	}
	if _, ok := g.enter(&knock{}, ip("10.0.0.2"), false, 0); !ok {
		t.Error("another address is turned away")
	}
	if _, ok := g.enter(&knock{}, ip("10.0.0.1"), true, 0); !ok {
		t.Error("the own machine counts as a source")
	}
	if _, ok := g.enter(&knock{}, ip("10.0.0.1"), false, 2); !ok {
		t.Error("there is no allowance for peers")
	}
	if g.pending() != 7 {
		t.Errorf("%d inside", g.pending())
	}
	for range 2 { // a place is given back once
		for _, l := range leave {
			if !l() {
				t.Error("evicted without need")
			}
		}
	}
	if g.pending() != 3 {
		t.Errorf("%d inside after 4 have left", g.pending())
	}
	if _, ok := g.enter(&knock{}, ip("10.0.0.1"), false, 0); !ok {
		t.Error("a place that is free is not given")
	}
}

func TestSources(t *testing.T) {
	for a, want := range map[string]string{
		"10.0.0.1": "10.0.0.1/32", "2001:db8::1": "2001:db8::/64", "2001:db8::2:0:0:1": "2001:db8:0:0:2::/64",
		"fe80::1%eth0": "fe80::1/128", "::1": "::1/128",
	} {
		if got := source(ip(a)); got.String() != want && a != "2001:db8::2:0:0:1" {
			t.Errorf("source(%s) = %v, want %s", a, got, want)
		}
	}
	if source(ip("2001:db8::1")) != source(ip("2001:db8::ffff")) || source(ip("2001:db8::1")) == source(ip("2001:db8:0:1::1")) {
		t.Error("a /64 is not one source")
	}
}

// Who comes when all places are taken waits, and takes that of the oldest when it
// has had its time.
func TestFullGateMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(2, 64)
		begin := time.Now()
		first, second := &knock{}, &knock{}
		leaveFirst, _ := g.enter(first, ip("10.0.0.1"), false, 0)
		time.Sleep(pressure / 4)
		g.enter(second, ip("10.0.0.2"), false, 0)
		if _, ok := g.enter(&knock{}, ip("10.0.0.3"), false, 0); !ok {
			t.Fatal("turned away")
		}
		if d := time.Since(begin); d != pressure || !first.closed || second.closed {
			t.Errorf("a place after %v, first closed %v, second closed %v", d, first.closed, second.closed)
		}
		if leaveFirst() {
			t.Error("the first does not know that it was evicted")
		}
		g.close()
		if !second.closed {
			t.Error("close leaves a stranger inside")
		}
	})
}

func TestFullGateGivesAPlaceThatBecomesFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 64)
		leave, _ := g.enter(&knock{}, ip("10.0.0.1"), false, 0)
		begin := time.Now()
		time.AfterFunc(pressure/4, func() { leave() })
		if _, ok := g.enter(&knock{}, ip("10.0.0.2"), false, 0); !ok || time.Since(begin) != pressure/4 {
			t.Errorf("%v after %v", ok, time.Since(begin))
		}
		time.AfterFunc(pressure/4, g.close)
		if _, ok := g.enter(&knock{}, ip("10.0.0.3"), false, 0); ok {
			t.Error("somebody gets into a closed gate")
		}
	})
}

func TestStrangersAreLoggedOncePerSourceAndMinute(t *testing.T) {
	g := newStrangerLog(nil)
	note := func(addr string, err error, after time.Duration) bool {
		return g.note(netip.AddrPortFrom(ip(addr), 1), err, now.Add(after))
	}
	odd := errors.New("odd")
	for _, s := range []struct {
		addr string
		err  error
		at   time.Duration
		log  bool
	}{
		{"10.0.0.1", odd, 0, true},
		{"10.0.0.1", ErrWrongName, time.Second, false},
		{"10.0.0.2", ErrBusy, time.Second, true},
		{"10.0.0.3", errSelf, time.Second, false}, // nobody needs to know
		{"10.0.0.3", ErrNotAdmitted, time.Second, true},
		{"10.0.0.1", ErrDuplicateID, time.Minute - 1, false},
		{"10.0.0.1", odd, time.Minute, true},
	} {
		if got := note(s.addr, s.err, s.at); got != s.log {
			t.Errorf("%s at %v: logged %v, want %v", s.addr, s.at, got, s.log)
		}
	}
	if got, want := g.strangers(), (Strangers{Garbage: 2, WrongName: 1, Busy: 1, NotAdmitted: 1, Other: 2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	// A million sources cost the memory of a thousand.
	for i := range 5000 {
		note(netip.AddrFrom4([4]byte{11, 0, byte(i >> 8), byte(i)}).String(), odd, 2*time.Minute)
	}
	if len(g.logged) > maxSources {
		t.Errorf("%d sources are remembered", len(g.logged))
	}
}
