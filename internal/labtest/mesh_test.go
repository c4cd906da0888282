//go:build linux

package labtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/internal/lab"
)

func TestHostsOfOneSwitchAreConnectedAtOnce(t *testing.T) {
	l := newLab(t)
	hs := hosts(l, 6, l.Switch("lan"), lab.NoDAD)
	c := newCluster(t)
	ms := c.startOn(hs[:5])
	c.meshed(patience, ms...)
	late := c.start(hs[5]).ready()
	begin := late.all(ready)[0].Time
	last := c.meshed(patience, append(ms, late)...)
	t.Logf("a sixth node was connected with all others %v after Join", last.Sub(begin).Round(time.Millisecond))
}

// A hundred hosts that start at the same moment, as after a power cut.
func TestAHundredStartAtOnce(t *testing.T) {
	if !*long {
		t.Skip("takes a hundred processes: -labtest.long")
	}
	l := newQuietLab(t)
	hs := hosts(l, 100, l.Switch("lan"), lab.NoDAD)
	l.Neighbours()
	c := newCluster(t)
	begin := time.Now()
	ms := c.startOn(hs)
	last := c.meshed(2*time.Minute*slowdown, ms...)
	t.Logf("4950 pairs connected %v after the first start", last.Sub(begin).Round(time.Millisecond))
}

func TestSeveralNodesOfOneHostAreConnected(t *testing.T) {
	l := newLab(t)
	lan := l.Switch("lan")
	c := newCluster(t)
	var ms []*member
	for _, h := range hosts(l, 3, lan, lab.NoDAD) {
		for range 3 {
			ms = append(ms, c.start(h))
		}
	}
	c.meshed(patience, ms...)
	for _, a := range ms {
		for _, b := range ms {
			if a == b || a.host != b.host {
				continue
			}
			if at := a.to(b).remote.Addr().WithZone(""); !at.IsLoopback() && at != a.host.Addr() && at != a.host.LinkLocal() {
				t.Errorf("%v reaches %v, on the same host, by %v", a, b, at)
			}
		}
	}
}

func TestNodesOfOtherNamesAreNotConnected(t *testing.T) {
	l := newLab(t)
	hs := hosts(l, 3, l.Switch("lan"), lab.NoDAD)
	one, two := newCluster(t), newCluster(t)
	// Names that differ from the first by no more than the case, and by what
	// is no legal service name.
	three, four := newCluster(t), newCluster(t)
	three.name, four.name = "LAB"+one.name[3:], one.name+" ü"
	var all [][]*member
	for _, c := range []*cluster{one, two, three, four} {
		ms := c.startOn(hs)
		c.meshed(patience, ms...)
		all = append(all, ms)
	}
	time.Sleep(2 * time.Second) // in which nothing more may happen
	for _, ms := range all {
		for _, m := range ms {
			if n := len(m.all(joined)); n != len(hs)-1 {
				t.Errorf("%v of %q has had %d connections, want %d", m, m.cluster.name, n, len(hs)-1)
			}
		}
	}
}

// Whoever gives a node of another name as a seed is told so.
func TestSeedOfAnotherName(t *testing.T) {
	l := newLab(t)
	hs := hosts(l, 2, l.Switch("lan"), lab.NoDAD)
	one, two := newCluster(t), newCluster(t)
	a := one.start(hs[0], listening(":4000")).ready()
	b := two.start(hs[1], seeded(hs[0].Addr().String()+":4000")).ready()
	b.status(func(s *tcpnet.Status) error {
		if len(s.Seeds) != 1 || !strings.Contains(s.Seeds[0].Error, tcpnet.ErrWrongName.Error()) {
			return fmt.Errorf("seeds: %+v", s.Seeds)
		}
		return nil
	})
	if n := len(a.all(joined)) + len(b.all(joined)); n > 0 {
		t.Errorf("%d connections between nodes of different names", n)
	}
}
