package gossip_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"go.uber.org/goleak"

	"example.com/tcpnet"
	"example.com/tcpnet/discovery"
	"example.com/tcpnet/discovery/gossip"
)

func TestMain(m *testing.M) {
	if runMember() {
		return
	}
	goleak.VerifyTestMain(m)
}

const patience = 30 * time.Second

func cluster() string {
	var b [6]byte
	rand.Read(b[:])
	return "t" + hex.EncodeToString(b[:])
}

// config is that of a member on loopback, for want of a network.
func config(name string) *memberlist.Config {
	cfg := memberlist.DefaultLocalConfig()
	cfg.Name = name
	cfg.BindAddr, cfg.BindPort, cfg.AdvertisePort = "127.0.0.1", 0, 0
	cfg.LogOutput = io.Discard
	return cfg
}

// list is a memberlist with the address of its member: memberlist writes its own while
// it takes metadata, so that nobody else may read it then.
type list struct {
	*memberlist.Memberlist
	addr string
}

// member makes a member that knows of others, if there are any.
func member(t *testing.T, cfg *memberlist.Config, others ...list) (list, *gossip.Discoverer) {
	t.Helper()
	m, d, err := gossip.Create(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Shutdown() })
	for _, o := range others {
		if _, err := m.Join([]string{o.addr}); err != nil {
			t.Fatal(err)
		}
	}
	return list{m, m.LocalNode().Address()}, d
}

// node makes a node that is found by d alone.
func node(t *testing.T, name string, d *gossip.Discoverer, change ...func(*tcpnet.Config)) *tcpnet.Node {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cfg := tcpnet.Config{Name: name, Addr: "127.0.0.1:0", Discovery: []discovery.Discoverer{d}}
	for _, f := range change {
		f(&cfg)
	}
	n, err := tcpnet.Join(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

func wait(t *testing.T, n *tcpnet.Node, count int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := n.Wait(ctx, count); err != nil {
		t.Fatalf("waiting for %d connections: %v\n%+v", count, err, n.Status())
	}
}

func TestMembersBecomeAMesh(t *testing.T) {
	name := cluster()
	var others []list
	var nodes []*tcpnet.Node
	for i := range 4 {
		m, d := member(t, config(fmt.Sprint("m", i)), others...)
		others = []list{m}
		nodes = append(nodes, node(t, name, d))
	}
	// One process may have several, and those of another name are left alone.
	_, d := member(t, config("m4"), others...)
	nodes = append(nodes, node(t, name, d), node(t, name, d))
	stranger := node(t, cluster(), d)
	for _, n := range nodes {
		wait(t, n, len(nodes)-1)
	}
	if st := stranger.Status(); len(st.Peers) != 0 || len(st.Candidates) != 0 {
		t.Errorf("a node of another name knows of %+v, %+v", st.Peers, st.Candidates)
	}
}

// Nodes that start before their members know of one another are found when these do.
func TestMembersThatMeetLater(t *testing.T) {
	name := cluster()
	one, d := member(t, config("one"))
	a := node(t, name, d)
	two, e := member(t, config("two"))
	b := node(t, name, e)
	if _, err := one.Join([]string{two.addr}); err != nil {
		t.Fatal(err)
	}
	wait(t, a, 1)
	wait(t, b, 1)
}

// A node that has left and comes back with the same ID is dialled again, even if it
// hears of nobody itself.
func TestANodeThatComesBackIsFoundAgain(t *testing.T) {
	name := cluster()
	one, d := member(t, config("one"))
	a := node(t, name, d)
	_, e := member(t, config("two"), one)
	back := func(c *tcpnet.Config) {
		c.ID, c.Discovery = "ABC", []discovery.Discoverer{deaf{e}}
	}
	b := node(t, name, e, back)
	wait(t, a, 1)
	addr := b.Addrs()[0].String()
	b.Close()
	for end := time.Now().Add(patience); len(a.Connections()) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it has not left")
		}
	}
	b = node(t, name, e, back, func(c *tcpnet.Config) { c.Addr = addr })
	wait(t, a, 1)
	wait(t, b, 1)
}

// deaf announces and hears nothing.
type deaf struct{ discovery.Discoverer }

func (d deaf) Start(ctx context.Context, self discovery.Self, _ discovery.Sink) (io.Closer, error) {
	return d.Discoverer.Start(ctx, self, void{})
}

type void struct{}

func (void) Found(discovery.Candidate) {}
func (void) Foreign(discovery.Foreign) {}

// own is a program's delegate.
type own struct {
	meta []byte

	mu   sync.Mutex // guards what follows
	seen []string   // metadata of members
	msgs []string
}

func (o *own) NodeMeta(int) []byte             { return o.meta }
func (o *own) GetBroadcasts(_, _ int) [][]byte { return nil }
func (o *own) LocalState(bool) []byte          { return []byte("state") }
func (o *own) MergeRemoteState([]byte, bool)   {}
func (o *own) NotifyMsg(b []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.msgs = append(o.msgs, string(b))
}
func (o *own) NotifyJoin(n *memberlist.Node)   { o.see("join", n) }
func (o *own) NotifyUpdate(n *memberlist.Node) { o.see("update", n) }
func (o *own) NotifyLeave(n *memberlist.Node)  { o.see("leave", n) }
func (o *own) see(what string, n *memberlist.Node) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = append(o.seen, what+" "+n.Name+" "+string(n.Meta))
}

func (o *own) has(t *testing.T, what string, list *[]string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		o.mu.Lock()
		ok := slices.Contains(*list, what)
		got := fmt.Sprintf("%q", *list)
		o.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("no %q in %s", what, got)
		}
	}
}

// The program's own delegates see what they would see without tcpnet.
func TestTheProgramsOwnDelegates(t *testing.T) {
	name := cluster()
	o, p := &own{meta: []byte("meta of one")}, &own{meta: []byte("meta of two")}
	cfg := config("one")
	cfg.Delegate, cfg.Events = o, o
	one, d := member(t, cfg)
	a := node(t, name, d)
	cfg = config("two")
	cfg.Delegate, cfg.Events = p, p
	two, e := member(t, cfg, one)
	b := node(t, name, e)
	wait(t, a, 1)
	wait(t, b, 1)
	o.has(t, "join two meta of two", &o.seen)
	p.has(t, "join one meta of one", &p.seen)
	if err := two.SendReliable(one.LocalNode(), []byte("a message")); err != nil {
		t.Fatal(err)
	}
	o.has(t, "a message", &o.msgs)
	two.Leave(time.Second)
	o.has(t, "leave two meta of two", &o.seen)
	// What memberlist believes ends no connection.
	if c, ok := a.Connection(b.ID()); !ok || c.Context().Err() != nil {
		t.Error("the connection has ended")
	}
}

func TestNodesThatCannotBeAnnounced(t *testing.T) {
	self := discovery.Self{Cluster: "x", ID: "AB", Port: 1}
	cfg := config("full")
	cfg.Delegate = &own{meta: make([]byte, memberlist.MetaMaxSize-10)}
	_, d := member(t, cfg)
	if _, err := d.Start(t.Context(), self, void{}); err == nil || !strings.Contains(err.Error(), "leaves no room") {
		t.Error(err)
	}
	_, d = member(t, config("many"))
	for i := range 100 {
		s, err := d.Start(t.Context(), self, void{})
		if err != nil {
			if i < 10 || !strings.Contains(err.Error(), "no room for one more node") {
				t.Errorf("after %d: %v", i, err)
			}
			return
		}
		defer s.Close()
	}
	t.Error("there is room for 100 nodes")
}

func TestStartBeforeThereIsAMemberlist(t *testing.T) {
	d := gossip.New(config("x"))
	if _, err := d.Start(t.Context(), discovery.Self{ID: "A"}, void{}); err == nil || !strings.Contains(err.Error(), "call Use first") {
		t.Error(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Start(ended, discovery.Self{ID: "A"}, void{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
