//go:build linux

package labtest

import (
	"fmt"
	"testing"
	"time"

	"example.com/tcpnet/internal/lab"
)

// How soon nodes have to be connected after their network has changed.
const change = 5 * slowdown * time.Second

// after waits until members are connected, and checks how long it took since the
// network changed.
func (c *cluster) after(what string, changed time.Time, ms ...*member) {
	c.t.Helper()
	c.meshed(patience, ms...)
	took := time.Since(changed)
	c.t.Logf("%s: connected after %v", what, took.Round(time.Millisecond))
	if took > change {
		c.t.Errorf("%s: connected after %v, want %v at most", what, took, change)
	}
}

// A node that starts before there is a network, as at boot, is found when there
// is.
func TestANodeThatStartsWithoutANetwork(t *testing.T) {
	for name, opts := range map[string][]lab.Option{"IPv4": {lab.NoDAD}, "IPv6 link-local": {lab.NoIPv4}} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			lan := l.Switch("lan")
			c := newCluster(t)
			ms := c.startOn(hosts(l, 2, append(opts, lan)...))
			c.meshed(patience, ms...)
			early := c.start(l.Host("early", opts...)).ready()
			time.Sleep(time.Second)
			begin := time.Now()
			early.host.Plug(lan)
			c.after("plugged in", begin, append(ms, early)...)
		})
	}
}

func TestAnAddressChanges(t *testing.T) {
	l := newLab(t)
	lan := l.Switch("lan")
	c := newCluster(t)
	hs := hosts(l, 3, lan, lab.NoDAD)
	for _, h := range hs { // IPv4 alone, so that there is nothing else to fall back on
		h.IP("address del " + h.LinkLocal().String() + "/64 dev eth0")
	}
	ms := c.startOn(hs)
	c.meshed(patience, ms...)
	for i := range 2 {
		time.Sleep(3 * time.Second) // young links are given more time to answer
		old := ms[0].to(ms[1]).local.Addr()
		begin := time.Now()
		hs[0].IP(fmt.Sprintf("address del %v/16 dev eth0", old), fmt.Sprintf("address add 10.1.99.%d/16 dev eth0", i+1))
		c.await(patience, func() error {
			for _, m := range ms[1:] {
				if x := ms[0].live[m.id]; x == nil || x.local.Addr() == old {
					return fmt.Errorf("%v and %v are not connected by the new address", ms[0], m)
				}
			}
			return nil
		})
		c.after("renumbered", begin, ms...)
	}
}

func TestASecondInterfaceIsAdded(t *testing.T) {
	l := newLab(t)
	one, two := l.Switch("one"), l.Switch("two")
	c := newCluster(t)
	a := c.start(l.Host("a", one, lab.NoDAD))
	b := c.start(l.Host("b", one, lab.NoDAD))
	far := c.start(l.Host("far", two, lab.NoDAD))
	far.ready()
	c.meshed(patience, a, b)
	before := c.connections(a, b)
	begin := time.Now()
	b.host.Plug(two)
	c.after("second interface", begin, b, far)
	unharmed(c, before, a, b)
}

func TestAnInterfaceIsRemovedAndMadeAnew(t *testing.T) {
	l := newLab(t)
	lan := l.Switch("lan")
	c := newCluster(t)
	ms := c.startOn(hosts(l, 3, lan, lab.NoDAD))
	c.meshed(patience, ms...)
	for range 2 {
		ms[0].host.Ports()[0].Unplug()
		for _, m := range ms[1:] {
			c.gone(patience, ms[0], m) // at once, it is the one that has lost its address
		}
		time.Sleep(time.Second)
		begin := time.Now()
		p := ms[0].host.Plug(lan)
		c.after("new "+p.Name, begin, ms...)
	}
}

// An interface that goes down and up again quickly, as on Wi-Fi, costs nothing
// for longer than that.
func TestAnInterfaceFlaps(t *testing.T) {
	l := newLab(t)
	c := newCluster(t)
	ms := c.startOn(hosts(l, 3, l.Switch("lan"), lab.NoDAD))
	c.meshed(patience, ms...)
	var begin time.Time
	for range 5 {
		ms[0].host.Cut(lab.Down)
		time.Sleep(200 * time.Millisecond)
		begin = time.Now()
		ms[0].host.Heal()
		time.Sleep(200 * time.Millisecond)
	}
	c.after("after flapping", begin, ms...)
	time.Sleep(time.Second)
	c.meshed(patience, ms...)
}
