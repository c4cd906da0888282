//go:build linux

package labtest

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/internal/lab"
)

// patience is how long to wait for what should come at once, on a machine that is
// busy with other tests.
const patience = (10 + 10*slowdown) * time.Second

// newLab returns a lab for a test that can run beside others.
func newLab(t *testing.T) *lab.Lab {
	t.Helper()
	lab.Require(t)
	t.Parallel()
	return lab.New(t)
}

// newQuietLab returns a lab for a test that measures time, and has the machine to
// itself.
func newQuietLab(t *testing.T) *lab.Lab {
	t.Helper()
	lab.Require(t)
	return lab.New(t)
}

// A cluster is the nodes of one name, and what is known of them from what they
// tell.
type cluster struct {
	t       *testing.T
	name    string
	program string // what nodes are; empty: this test binary

	mu      sync.Mutex    // guards all that members have told
	changed chan struct{} // closed and replaced when one of them tells something
	members []*member
}

// newCluster returns a cluster with a name that nobody else uses.
func newCluster(t *testing.T) *cluster {
	c := &cluster{t: t, name: randomName(), changed: make(chan struct{})}
	t.Cleanup(c.explain)
	return c
}

func randomName() string {
	var b [4]byte
	rand.Read(b[:])
	return "lab-" + hex.EncodeToString(b[:])
}

// hosts adds a number of hosts to a lab.
func hosts(l *lab.Lab, n int, opts ...lab.Option) []*lab.Host {
	var hs []*lab.Host
	for i := range n {
		hs = append(hs, l.Host(fmt.Sprintf("h%d", i+1), opts...))
	}
	return hs
}

// startOn starts a node on each host, without waiting for any.
func (c *cluster) startOn(hs []*lab.Host, how ...func(*settings)) []*member {
	c.t.Helper()
	var ms []*member
	for _, h := range hs {
		ms = append(ms, c.start(h, how...))
	}
	return ms
}

// await waits until cond, which is called with what members tell locked, returns
// nil, and fails the test if that takes too long.
func (c *cluster) await(patience time.Duration, cond func() error) {
	c.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		c.mu.Lock()
		err, changed := cond(), c.changed
		c.mu.Unlock()
		if err == nil {
			return
		}
		select {
		case <-changed:
		case <-deadline.C:
			c.t.Fatalf("after %v: %v", patience, err)
		}
	}
}

// meshed waits until every two members have exactly one connection, the same on
// both sides, over which each has heard the other's greeting, and returns when
// the last one came up.
func (c *cluster) meshed(patience time.Duration, ms ...*member) (last time.Time) {
	c.t.Helper()
	c.await(patience, func() error {
		last = time.Time{}
		for i, a := range ms {
			for _, b := range ms[:i] {
				if err := connected(a, b); err != nil {
					return err
				}
				last = latest(last, a.live[b.id].joined, b.live[a.id].joined)
			}
		}
		return nil
	})
	return last
}

func latest(ts ...time.Time) time.Time { return slices.MaxFunc(ts, time.Time.Compare) }

// connected returns what two members lack to be connected.
func connected(a, b *member) error {
	if a.id == "" || b.id == "" {
		return fmt.Errorf("%v or %v has not joined", a, b)
	}
	x, y := a.live[b.id], b.live[a.id]
	switch {
	case x == nil && y == nil:
		return fmt.Errorf("%v and %v are not connected", a, b)
	case x == nil:
		return fmt.Errorf("%v is connected with %v, which does not know", b, a)
	case y == nil:
		return fmt.Errorf("%v is connected with %v, which does not know", a, b)
	case bare(x.local) != bare(y.remote) || bare(x.remote) != bare(y.local):
		return fmt.Errorf("%v and %v have different connections: %v to %v and %v to %v", a, b, x.local, x.remote, y.local, y.remote)
	case !strings.HasSuffix(x.heard, "greets "+string(a.id)):
		return fmt.Errorf("%v heard %q of %v", a, x.heard, b)
	case !strings.HasSuffix(y.heard, "greets "+string(b.id)):
		return fmt.Errorf("%v heard %q of %v", b, y.heard, a)
	}
	return nil
}

// bare returns an address without the zone, which is no property of the address
// at the other end.
func bare(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().WithZone(""), a.Port())
}

// gone waits until a member has no connection to another, and returns the event
// that tells of the end of the last one.
func (c *cluster) gone(patience time.Duration, a, b *member) (e event) {
	c.t.Helper()
	c.await(patience, func() error {
		if a.live[b.id] != nil {
			return fmt.Errorf("%v is still connected with %v", a, b)
		}
		i := lastIndex(a.events, func(e event) bool { return e.Kind == left && e.ID == b.id })
		if i < 0 {
			return fmt.Errorf("%v was never connected with %v", a, b)
		}
		e = a.events[i]
		return nil
	})
	return e
}

func lastIndex(es []event, is func(event) bool) int {
	for i, e := range slices.Backward(es) {
		if is(e) {
			return i
		}
	}
	return -1
}

// connections returns the numbers of all connections between members, by both
// IDs.
func (c *cluster) connections(ms ...*member) map[[2]tcpnet.ID]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[[2]tcpnet.ID]int{}
	for _, a := range ms {
		for _, b := range ms {
			if x := a.live[b.id]; x != nil {
				all[[2]tcpnet.ID{a.id, b.id}] = x.number
			}
		}
	}
	return all
}

// explain shows what the nodes have told if the test has failed, and fails it if
// one of them has panicked.
func (c *cluster) explain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.members {
		log := m.log.String()
		for _, bad := range []string{"DATA RACE", "panic:", "fatal error:"} {
			if strings.Contains(log, bad) {
				c.t.Errorf("%v: %s", m, bad)
			}
		}
	}
	if !c.t.Failed() {
		return
	}
	for _, m := range c.members {
		var b strings.Builder
		for _, e := range m.events[max(0, len(m.events)-50):] {
			fmt.Fprintf(&b, "%s %-8s %.8s #%d %v %v %s %s\n", e.Time.Format("05.000"), e.Kind, e.ID, e.Conn, e.Local, e.Remote, e.Reason, e.Text)
		}
		log := m.log.String()
		c.t.Logf("%v: %v\n%s%s", m, m.addrs, b.String(), log[max(0, len(log)-6000):])
	}
}
