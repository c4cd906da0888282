//go:build linux

package labtest

import (
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/internal/lab"
)

// soon is within which a process that has ended must be missed, on a machine that
// runs other tests.
const soon = slowdown * time.Second

// A process that ends is missed at once, however it ends: its kernel tells.
func TestAProcessThatIsKilledIsMissedAtOnce(t *testing.T) {
	l := newLab(t)
	c := newCluster(t)
	ms := c.startOn(hosts(l, 4, l.Switch("lan"), lab.NoDAD))
	c.meshed(patience, ms...)
	begin := time.Now()
	ms[0].process.Kill()
	missed(c, ms[0], ms[1:], "reset", begin, soon)
	c.meshed(patience, ms[1:]...)
}

func TestANodeThatShutsDownHasLeft(t *testing.T) {
	l := newLab(t)
	c := newCluster(t)
	ms := c.startOn(hosts(l, 4, l.Switch("lan"), lab.NoDAD))
	c.meshed(patience, ms...)
	begin := time.Now()
	ms[0].shutdown()
	missed(c, ms[0], ms[1:], "left", begin, soon)
	// Nobody calls on it any more.
	time.Sleep(500 * time.Millisecond)
	for _, m := range ms[1:] {
		for _, cand := range m.inspect().Status.Candidates {
			if cand.ID == ms[0].id && (!cand.Left || cand.Tries > 0) {
				t.Errorf("%v of the one that has left: %+v", m, cand)
			}
		}
	}
	if e := ms[0].all(closed); len(e) != 1 || e[0].Text != "" {
		t.Errorf("Shutdown: %v", e)
	}
}

// missed waits until all of ms have told, with a reason, that gone is gone, and
// fails the test if that took longer than limit.
func missed(c *cluster, gone *member, ms []*member, reason string, begin time.Time, limit time.Duration) {
	c.t.Helper()
	var last time.Time
	for _, m := range ms {
		e := c.gone(max(patience, limit), m, gone)
		last = latest(last, e.Time)
		if e.Reason != reason {
			c.t.Errorf("%v: the reason is %q, want %q", m, e.Reason, reason)
		}
	}
	took := last.Sub(begin)
	if took > limit {
		c.t.Errorf("noticed by all after %v, want %v at most", took, limit)
	}
	c.t.Logf("%s: noticed by all after %v", reason, took.Round(100*time.Microsecond))
}

// A process that hangs, while its kernel answers for it, is given up in time; when
// it goes on, it is connected again.
func TestAProcessThatHangs(t *testing.T) {
	l := newLab(t)
	c := newCluster(t)
	ms := c.startOn(hosts(l, 4, l.Switch("lan"), lab.NoDAD), fast)
	c.meshed(patience, ms...)
	begin := time.Now()
	ms[0].process.Stop()
	missed(c, ms[0], ms[1:], "timeout", begin, 2*time.Second+soon)
	c.meshed(patience, ms[1:]...)
	time.Sleep(2 * time.Second)
	begin = time.Now()
	ms[0].process.Continue()
	last := c.meshed(patience, ms...)
	t.Logf("connected again %v after it went on", last.Sub(begin).Round(time.Millisecond))
}

// A process that hangs for less than the time-out loses nothing.
func TestAProcessThatHangsBriefly(t *testing.T) {
	l := newLab(t)
	c := newCluster(t)
	ms := c.startOn(hosts(l, 3, l.Switch("lan"), lab.NoDAD))
	c.meshed(patience, ms...)
	before := c.connections(ms...)
	ms[0].process.Stop()
	time.Sleep(4 * time.Second) // of 10, but longer than the ping interval
	ms[0].process.Continue()
	time.Sleep(time.Second)
	unharmed(c, before, ms...)
}

// unharmed fails the test unless members have the very connections that they had
// before.
func unharmed(c *cluster, before map[[2]tcpnet.ID]int, ms ...*member) {
	c.t.Helper()
	now := c.connections(ms...)
	for pair, number := range before {
		if now[pair] != number {
			c.t.Errorf("%.8s has lost its connection #%d with %.8s, and has #%d now", pair[0], number, pair[1], now[pair])
		}
	}
}

func TestACableIsCut(t *testing.T) {
	for _, cut := range []struct {
		name string
		how  lab.Cut
		what func(*settings)
	}{
		{"silent", lab.Silent, fast},
		{"no carrier", lab.NoCarrier, fast},
		{"interface down", lab.Down, fast},
		{"silent, busy", lab.Silent, func(s *settings) { fast(s); chatty(s) }},
		{"no carrier, busy", lab.NoCarrier, func(s *settings) { fast(s); chatty(s) }},
	} {
		t.Run(cut.name, func(t *testing.T) {
			l := newLab(t)
			c := newCluster(t)
			ms := c.startOn(hosts(l, 4, l.Switch("lan"), lab.NoDAD), cut.what)
			c.meshed(patience, ms...)
			begin := time.Now()
			ms[0].host.Cut(cut.how)
			missed(c, ms[0], ms[1:], "timeout", begin, 2*time.Second+soon)
			for _, m := range ms[1:] {
				c.gone(patience, ms[0], m)
			}
			c.meshed(patience, ms[1:]...)
			time.Sleep(2 * time.Second)
			begin = time.Now()
			ms[0].host.Heal()
			last := c.meshed(patience, ms...)
			t.Logf("connected again %v after the cable was mended", last.Sub(begin).Round(time.Millisecond))
		})
	}
}

// A machine loses power, and its node starts again with the same ID on another
// one, before the others could notice. They take the new one within about a
// second: the old connection does not answer.
func TestSameIDAfterPowerLoss(t *testing.T) {
	// Either side can be the one that decides (PROTOCOL.md, 5.2).
	for _, id := range []tcpnet.ID{"0000000000000001", "FFFFFFFFFFFFFFFF"} {
		t.Run(string(id), func(t *testing.T) {
			l := newLab(t)
			lan := l.Switch("lan")
			hs := hosts(l, 4, lan, lab.NoDAD)
			c := newCluster(t)
			ms := c.startOn(hs[1:])
			lost := c.start(hs[0], withID(id))
			c.meshed(patience, append(ms, lost)...)
			hs[0].Cut(lab.Silent)
			lost.process.Kill()

			c.reborn(ms, lost, c.start(l.Host("new", lan, lab.NoDAD), withID(id)), "restarted")
		})
	}
}

// The same, and the new machine has the old one's address: the others hear from
// there that the old connection does not exist any more.
func TestSameIDAndAddressAfterPowerLoss(t *testing.T) {
	const id = "0000000000000001"
	l := newLab(t)
	lan := l.Switch("lan")
	hs := hosts(l, 4, lan, lab.NoDAD)
	c := newCluster(t)
	ms := c.startOn(hs[1:])
	at := hs[0].Addr()
	lost := c.start(hs[0], withID(id), listening(at.String()+":4000"))
	c.meshed(patience, append(ms, lost)...)
	hs[0].Cut(lab.Silent)
	lost.process.Kill()
	hs[0].Ports()[0].Unplug()

	h := l.Host("new", lan, lab.NoDAD)
	h.IP("address add " + at.String() + "/16 dev eth0")
	c.reborn(ms, lost, c.start(h, withID(id), listening(at.String()+":4000")), "restarted", "reset")
}

// reborn waits until ms are connected with a node that has the ID of one that is
// lost, and checks how long it took and which reason was told.
func (c *cluster) reborn(ms []*member, lost, again *member, reasons ...string) {
	c.t.Helper()
	again.ready()
	begin := again.all(ready)[0].Time
	last := c.meshed(patience, append(ms, again)...)
	took := last.Sub(begin)
	c.t.Logf("connected with the new one %v after its Join", took.Round(time.Millisecond))
	if took > 1500*slowdown*time.Millisecond {
		c.t.Errorf("took %v, want about a second", took)
	}
	for _, m := range ms {
		var got []string
		for _, e := range m.all(left) {
			if e.ID == lost.id {
				got = append(got, e.Reason)
			}
		}
		if len(got) != 1 || !slices.Contains(reasons, got[0]) {
			c.t.Errorf("%v was told %q of the old connection, want one of %q", m, got, reasons)
		}
	}
}

// A process that is killed and started again at once, with the same ID, is
// connected at once.
func TestSameIDAfterRestart(t *testing.T) {
	l := newLab(t)
	hs := hosts(l, 4, l.Switch("lan"), lab.NoDAD)
	c := newCluster(t)
	ms := c.startOn(hs[1:])
	old := c.start(hs[0], withID("ABCDEF"))
	c.meshed(patience, append(ms, old)...)
	for range 3 {
		old.process.Kill()
		again := c.start(hs[0], withID("ABCDEF")).ready()
		last := c.meshed(patience, append(ms, again)...)
		t.Logf("connected %v after Join", last.Sub(again.all(ready)[0].Time).Round(100*time.Microsecond))
		old = again
	}
}

// Two living nodes with one ID: both are told, and nobody loses a connection.
func TestTwoNodesWithOneID(t *testing.T) {
	l := newLab(t)
	hs := hosts(l, 4, l.Switch("lan"), lab.NoDAD)
	c := newCluster(t)
	ms := c.startOn(hs[:2])
	first := c.start(hs[2], withID("ABCDEF"))
	ms = append(ms, first)
	c.meshed(patience, ms...)
	before := c.connections(ms...)
	second := c.start(hs[3], withID("ABCDEF"))
	c.await(patience, func() error {
		if err := first.has(rejected, "duplicate ID"); err != nil {
			return err
		}
		return second.has(rejected, "duplicate ID")
	})
	time.Sleep(2 * time.Second)
	unharmed(c, before, ms...)
	if n := len(second.all(joined)); n > 0 {
		t.Errorf("the second has had %d connections", n)
	}
	// When the first is gone, the second takes its place.
	first.process.Kill()
	begin := time.Now()
	last := c.meshed(patience, ms[0], ms[1], second)
	t.Logf("the second took the place of the first after %v", last.Sub(begin).Round(time.Millisecond))
	if n := len(first.all(left)); n > 0 {
		t.Errorf("the first has lost %d connections", n)
	}
}

// Leaving does not wait for those who keep a dialler waiting.
func TestANodeLeavesAtOnceWhateverItDoes(t *testing.T) {
	l := newLab(t)
	hs := hosts(l, 2, l.Switch("lan"), lab.NoDAD)
	c := newCluster(t)
	called := make(chan struct{}, 1)
	at := listenOn(t, hs[1], ":0", func(c net.Conn) { // never answers
		select {
		case called <- struct{}{}:
		default:
		}
		io.Copy(io.Discard, c)
		c.Close()
	})
	m := c.start(hs[0], seeded(netip.AddrPortFrom(hs[1].Addr(), at.Port()).String())).ready()
	<-called
	begin := time.Now()
	m.shutdown()
	if took := time.Since(begin); took > soon {
		t.Errorf("Shutdown took %v", took)
	}
}
