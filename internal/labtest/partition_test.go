//go:build linux

package labtest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/internal/lab"
)

// A firewall that lets nobody in does no harm as long as its own host gets out,
// whichever ID is the smaller.
func TestAFirewallThatLetsNobodyIn(t *testing.T) {
	for name, id := range map[string]tcpnet.ID{"smaller ID": "0000000000000001", "larger ID": "FFFFFFFFFFFFFFFF"} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			hs := hosts(l, 3, l.Switch("lan"), lab.NoDAD)
			hs[0].Firewall(lab.NoInboundTCP)
			c := newCluster(t)
			ms := append(c.startOn(hs[1:]), c.start(hs[0], withID(id)))
			last := c.meshed(patience, ms...)
			t.Logf("connected %v after the last Join", last.Sub(ms[2].all(ready)[0].Time).Round(time.Millisecond))
		})
	}
}

// Hosts of which none lets the others in are connected with those that do, and
// say of one another why they are not.
func TestFirewallsThatLetNobodyInOnBothSides(t *testing.T) {
	l := newLab(t)
	hs := hosts(l, 3, l.Switch("lan"), lab.NoDAD)
	hs[0].Firewall(lab.NoInboundTCP)
	hs[1].Firewall(lab.RefuseTCP)
	c := newCluster(t)
	ms := c.startOn(hs)
	c.meshed(patience, ms[0], ms[2])
	c.meshed(patience, ms[1], ms[2])
	for i, m := range ms[:2] {
		m.status(func(s *tcpnet.Status) error {
			for _, cand := range s.Candidates {
				if cand.ID == ms[1-i].id && cand.Error != "" {
					t.Logf("%v says of %v: %s", m, ms[1-i], cand.Error)
					return nil
				}
			}
			return fmt.Errorf("%v is missing for no reason: %+v", ms[1-i], s.Candidates)
		})
	}
	// They are connected as soon as one of them opens.
	begin := time.Now()
	hs[1].Firewall()
	last := c.meshed(patience, ms...)
	t.Logf("connected %v after one has opened", last.Sub(begin).Round(time.Millisecond))
}

// A host that is not heard by multicast, or does not hear, is found by the others
// as long as one direction works.
func TestMulticastInOneDirectionOnly(t *testing.T) {
	for name, rule := range map[string]lab.Rule{
		"deaf": {In: lab.NoMulticast.In},
		"mute": {Out: lab.NoMulticast.Out},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			hs := hosts(l, 3, l.Switch("lan"), lab.NoDAD)
			hs[0].Firewall(rule)
			c := newCluster(t)
			ms := c.startOn(hs[1:])
			c.meshed(patience, ms...)
			ms = append(ms, c.start(hs[0]))
			last := c.meshed(patience, ms...)
			t.Logf("connected %v after the last Join", last.Sub(ms[2].all(ready)[0].Time).Round(time.Millisecond))
		})
	}
}

// Where there is no multicast, one address is enough to find all.
func TestOneSeedFindsAllWithoutMulticast(t *testing.T) {
	l := newLab(t)
	hs := hosts(l, 5, l.Switch("lan"), lab.NoDAD)
	for _, h := range hs {
		h.Firewall(lab.NoMulticast)
	}
	c := newCluster(t)
	seed := hs[0].Addr().String() + ":4000"
	// The seed itself starts last.
	ms := c.startOn(hs[1:], seeded(seed))
	for _, m := range ms {
		m.ready()
	}
	ms = append(ms, c.start(hs[0], listening(":4000")))
	last := c.meshed(patience, ms...)
	t.Logf("connected %v after the seed's Join", last.Sub(ms[4].all(ready)[0].Time).Round(time.Millisecond))
	// It is not needed any more, and found again.
	ms[4].process.Kill()
	c.meshed(patience, ms[:4]...)
	ms[4] = c.start(hs[0], listening(":4000"))
	last = c.meshed(patience, ms...)
	t.Logf("connected %v after the seed's second Join", last.Sub(ms[4].all(ready)[0].Time).Round(time.Millisecond))
}

// The network falls apart into halves, each of which goes on, and becomes one
// again.
func TestSplitAndHeal(t *testing.T) {
	l := newLab(t)
	hs := hosts(l, 4, l.Switch("lan"), lab.NoDAD)
	c := newCluster(t)
	ms := c.startOn(hs, fast)
	c.meshed(patience, ms...)
	halves := c.connections(ms[0], ms[1])
	for pair, number := range c.connections(ms[2], ms[3]) {
		halves[pair] = number
	}
	begin := time.Now()
	l.Split(hs[:2], hs[2:])
	missed(c, ms[0], ms[2:], "timeout", begin, 2*time.Second+soon)
	missed(c, ms[1], ms[2:], "timeout", begin, 2*time.Second+soon)
	time.Sleep(5 * time.Second)
	unharmed(c, halves, ms...)
	begin = time.Now()
	l.Heal()
	last := c.meshed(patience, ms...)
	took := last.Sub(begin)
	t.Logf("one mesh %v after the network was", took.Round(time.Millisecond))
	if took > 3*slowdown*time.Second {
		t.Errorf("took %v", took)
	}
	unharmed(c, halves, ms...)
}

// The network falls into three parts, in which nobody loses anybody.
func TestThreePartsAndHeal(t *testing.T) {
	l := newLab(t)
	hs := hosts(l, 6, l.Switch("lan"), lab.NoDAD)
	c := newCluster(t)
	ms := c.startOn(hs, fast)
	c.meshed(patience, ms...)
	within := map[[2]tcpnet.ID]int{}
	for i := 0; i < 6; i += 2 {
		for pair, number := range c.connections(ms[i : i+2]...) {
			within[pair] = number
		}
	}
	begin := time.Now()
	l.Split(hs[:2], hs[2:4], hs[4:])
	for i, m := range ms {
		others := append(slices.Clone(ms[:i/2*2]), ms[i/2*2+2:]...)
		missed(c, m, others, "timeout", begin, 2*time.Second+soon)
	}
	time.Sleep(3 * time.Second)
	begin = time.Now()
	l.Heal()
	last := c.meshed(patience, ms...)
	t.Logf("one mesh %v after the network was", last.Sub(begin).Round(time.Millisecond))
	unharmed(c, within, ms...)
}

// A node that starts while the network is apart is found by the other half later.
func TestANodeThatStartsInOneHalf(t *testing.T) {
	l := newLab(t)
	hs := hosts(l, 4, l.Switch("lan"), lab.NoDAD)
	c := newCluster(t)
	l.Split(hs[:2], hs[2:])
	ms := c.startOn(hs, fast)
	c.meshed(patience, ms[:2]...)
	c.meshed(patience, ms[2:]...)
	time.Sleep(9 * time.Second) // all announcements have been made
	begin := time.Now()
	l.Heal()
	last := c.meshed(2*time.Minute, ms...)
	t.Logf("one mesh %v after the network was", last.Sub(begin).Round(time.Millisecond))
}

// A fifth of all frames is lost, and then three tenths, of everything: ARP, mDNS,
// TCP.
func TestLoss(t *testing.T) {
	l := newQuietLab(t)
	hs := hosts(l, 10, l.Switch("lan"), lab.NoDAD)
	rounds := 2
	if *long {
		rounds = 20
	}
	for round := range rounds {
		l.Loss(20)
		most := 30 * slowdown * time.Second
		if round%2 == 1 {
			l.Loss(30)
			most *= 2
		}
		c := newCluster(t)
		ms := c.startOn(hs)
		last := c.meshed(most, ms...)
		begin := ms[9].all(ready)[0].Time
		t.Logf("round %d: 45 pairs connected %v after the last Join", round, last.Sub(begin).Round(time.Millisecond))
		for _, m := range ms {
			m.process.Kill()
		}
		l.Loss(0)
	}
}
