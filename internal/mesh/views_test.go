package mesh

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"example.com/tcpnet/internal/link"
)

// A lan is cores whose frames arrive at once and whose dials succeed, in a time of
// its own.
type lan struct {
	t     *testing.T
	now   time.Time
	nodes []*lanNode
	last  link.LinkID
	ends  map[link.LinkID][2]*lanNode // the dialler and the acceptor
	queue []func()
	sent  map[link.FrameType]int
}

type lanNode struct {
	effects
	lan  *lan
	core *core
	addr netip.AddrPort
}

func newLAN(t *testing.T, n int) *lan {
	l := &lan{t: t, now: now, ends: make(map[link.LinkID][2]*lanNode), sent: make(map[link.FrameType]int)}
	for i := range n {
		x := &lanNode{lan: l, addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 80)}
		x.core = newCore(link.ID(fmt.Sprintf("%X", i+10)), link.Incarnation{byte(i + 1)}, x)
		x.core.interval, x.core.timeout, x.core.dials = 3*time.Second, 10*time.Second, 16
		x.core.rnd = rand.New(rand.NewPCG(1, 2))
		l.nodes = append(l.nodes, x)
	}
	return l
}

func (x *lanNode) at(id link.LinkID) (end int) {
	if x.lan.ends[id][0] == x {
		return 0
	}
	return 1
}

func (x *lanNode) send(id link.LinkID, b []byte) {
	other := x.lan.ends[id][1-x.at(id)]
	for len(b) > 0 {
		n := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
		m := parse(link.FrameType(b[0]), b[4:4+n])
		b = b[4+n:]
		x.lan.sent[m.t]++
		x.lan.queue = append(x.lan.queue, func() { other.got(id, m) })
	}
}

func (x *lanNode) got(id link.LinkID, m msg) {
	c, now := x.core, x.lan.now
	c.heard(now, id)
	switch m.t {
	case link.FrameCommit:
		c.commit(now, id, link.Commit{Seq: m.n, Secret: m.secret})
	case link.FrameReject:
		c.rejected(now, id, link.Reject{Code: m.code})
	case link.FramePing:
		c.gotPing(now, id, link.Ping{Nonce: m.n, Digest: m.digest})
	case link.FramePong:
		c.gotPong(now, id, link.Ping{Nonce: m.n, Digest: m.digest})
	case link.FrameAsk:
		c.gotAsk(now, id)
	case link.FramePeers:
		c.gotPeers(now, id, m.peers, false)
	case link.FrameHearsay:
		c.gotHearsay(now, id, m.peers)
	}
}

// session is that of x on a link to y.
func (x *lanNode) session(id link.LinkID, y *lanNode) *session {
	return &session{id: id, dialled: x.at(id) == 0, remote: y.addr, hello: &link.Hello{
		MinVersion: 1, MaxVersion: 1, ID: y.core.id, Incarnation: y.core.inc, Addrs: []netip.AddrPort{y.addr}, Digest: y.core.digest,
	}}
}

func (x *lanNode) dial(p *peer, _ *seed) {
	for _, y := range x.lan.nodes {
		if y.core.id == p.id {
			x.lan.queue = append(x.lan.queue, func() { x.lan.connect(x, y, &p.dial) })
		}
	}
}

// connect makes a link from x to y.
func (l *lan) connect(x, y *lanNode, attempt *schedule) {
	l.last++
	id := l.last
	l.ends[id] = [2]*lanNode{x, y}
	first, second := y.session(id, x), x.session(id, y)
	// HELLO of the acceptor is on its way before its COMMIT.
	l.queue = append(l.queue, func() {
		l.queue = append([]func(){func() { x.core.hello(l.now, second, attempt) }}, l.queue...)
		y.core.hello(l.now, first, nil)
	})
}

func (x *lanNode) hello(link.LinkID)     {}
func (x *lanNode) sampled(time.Duration) {}
func (x *lanNode) admit(link.LinkID)     {}
func (x *lanNode) end(link.LinkID)       {}
func (x *lanNode) openConn(*session)     {}
func (x *lanNode) expect(*session)       {}
func (x *lanNode) unexpect(*session)     {}
func (x *lanNode) reject(r Rejection)    { x.lan.t.Errorf("%s: %v", x.core.id, r.Err) }
func (x *lanNode) random() uint64        { return rand.Uint64() }

// run lets d go by.
func (l *lan) run(d time.Duration) {
	end := l.now.Add(d)
	for {
		for len(l.queue) > 0 {
			f := l.queue[0]
			l.queue = l.queue[1:]
			f()
			for _, x := range l.nodes {
				x.core.run(l.now)
			}
		}
		next := end
		for _, x := range l.nodes {
			if due := x.core.due(); !due.IsZero() && due.Before(next) {
				next = due
			}
		}
		l.now = later(l.now, next)
		if !l.now.Before(end) {
			return
		}
		for _, x := range l.nodes {
			x.core.run(l.now)
		}
	}
}

func (l *lan) links() (n int) {
	for _, x := range l.nodes {
		n += len(x.core.sessions)
	}
	return n
}

// A chain of nodes, each of which knows the next, becomes a full mesh.
func TestOneWorkingPathFindsAll(t *testing.T) {
	for _, n := range []int{3, 8} {
		l := newLAN(t, n)
		for i := range n - 1 {
			l.connect(l.nodes[i], l.nodes[i+1], nil)
		}
		l.run(time.Second - time.Millisecond)
		if asks := l.sent[link.FrameAsk]; asks != 0 {
			t.Errorf("%d nodes: %d questions in the first moment", n, asks)
		}
		l.run(20 * time.Second)
		if got := l.links(); got != n*(n-1) {
			t.Errorf("%d nodes: %d ends of links, want %d", n, got, n*(n-1))
		}
		for _, x := range l.nodes {
			if x.core.digest != l.nodes[0].core.digest {
				t.Errorf("%d nodes: %s has another digest", n, x.core.id)
			}
		}
	}
}

// Nodes whose digests are the same, or differ for a moment only, ask nothing.
func TestNobodyAsksInAClusterAtRest(t *testing.T) {
	l := newLAN(t, 3)
	for i, x := range l.nodes {
		for _, y := range l.nodes[i+1:] {
			l.connect(x, y, nil)
		}
	}
	l.run(time.Minute)
	if l.sent[link.FrameAsk] != 0 || l.sent[link.FramePeers] != 0 {
		t.Errorf("sent: %v", l.sent)
	}
	if pings := l.sent[link.FramePing]; pings > 3*2*20+12 {
		t.Errorf("%d PINGs in a minute on 3 links", pings)
	}
}

// What a peer tells is used only where it means something.
func TestAddressesWorthTelling(t *testing.T) {
	addrs := []netip.AddrPort{
		netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("[fe80::1%eth0]:2"), netip.MustParseAddrPort("10.0.0.1:3"),
	}
	if got := fmt.Sprint(tellable(addrs, ip("10.0.0.9"))); got != "[[fe80::1]:2 10.0.0.1:3]" {
		t.Error("told to another machine:", got)
	}
	if got := fmt.Sprint(tellable(addrs, ip("127.0.0.1"))); got != "[127.0.0.1:1 [fe80::1]:2 10.0.0.1:3]" {
		t.Error("told over loopback:", got)
	}
	told := []netip.AddrPort{addrs[0], netip.MustParseAddrPort("[fe80::1]:2"), addrs[2]}
	for from, want := range map[string]string{
		"10.0.0.9": "[10.0.0.1:3]", "fe80::9%eth1": "[[fe80::1%eth1]:2 10.0.0.1:3]", "127.0.0.1": "[127.0.0.1:1 10.0.0.1:3]",
	} {
		if got := fmt.Sprint(receivable(told, ip(from))); got != want {
			t.Errorf("from %s: %s, want %s", from, got, want)
		}
	}
}
