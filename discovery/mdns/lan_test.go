package mdns

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/tcpnet/discovery"
	"golang.org/x/net/dns/dnsmessage"
)

// A lan is one Ethernet in memory. Delivery takes a moment, and a packet may be
// lost.
type lan struct {
	mu    sync.Mutex // guards all of it and of its boxes
	boxes []*box
	lose  func() bool
	wire  int // multicast packets on the wire
	bytes int
}

// A box is a machine on it, with lo and eth0.
type box struct {
	lan    *lan
	ifs    []Interface
	watch  []func([]Interface, bool)
	ports  []*memPort
	denied bool // port 5353 is another's
	blind  bool // what interfaces there are is not told
}

type memPort struct {
	box     *box
	port    uint16
	receive func(Packet)
	in      chan Packet
	done    chan struct{}
	joined  map[int]bool
}

const wireDelay = 100 * time.Microsecond

func newLAN() *lan { return &lan{lose: func() bool { return false }} }

func (l *lan) newBox(host byte) *box {
	b := &box{lan: l}
	b.ifs = b.interfaces(host)
	l.mu.Lock()
	l.boxes = append(l.boxes, b)
	l.mu.Unlock()
	return b
}

func (b *box) interfaces(host byte) []Interface {
	return []Interface{
		{net.Interface{Index: 1, Name: "lo", Flags: net.FlagUp | net.FlagLoopback}, []netip.Prefix{prefix("127.0.0.1/8")}},
		{net.Interface{Index: 2, Name: "eth0", Flags: net.FlagUp | net.FlagMulticast},
			[]netip.Prefix{prefix(fmt.Sprintf("10.0.0.%d/24", host))}},
	}
}

// renumber gives the box another address.
func (b *box) renumber(host byte, resumed bool) { b.setInterfaces(b.interfaces(host), resumed) }

func (b *box) setInterfaces(ifs []Interface, resumed bool) {
	b.lan.mu.Lock()
	b.ifs = ifs
	watch := slices.Clone(b.watch)
	b.lan.mu.Unlock()
	for _, f := range watch {
		f(ifs, resumed)
	}
}

func (b *box) Interfaces() ([]Interface, error) {
	b.lan.mu.Lock()
	defer b.lan.mu.Unlock()
	if b.blind {
		return nil, errors.New("interfaces cannot be listed")
	}
	return b.ifs, nil
}

func (b *box) Watch(f func([]Interface, bool)) (cancel func()) {
	b.lan.mu.Lock()
	defer b.lan.mu.Unlock()
	b.watch = append(b.watch, f)
	return func() {
		b.lan.mu.Lock()
		defer b.lan.mu.Unlock()
		b.watch = nil
	}
}

func (b *box) Open(port uint16, receive func(Packet)) (Transport, error) {
	b.lan.mu.Lock()
	defer b.lan.mu.Unlock()
	if port == Port && b.denied {
		return nil, fmt.Errorf("port %d is in use", port)
	}
	if port == 0 {
		port = uint16(20000 + rand.IntN(40000))
	}
	p := &memPort{box: b, port: port, receive: receive, in: make(chan Packet, 1000), done: make(chan struct{})}
	b.ports = append(b.ports, p)
	go func() {
		defer close(p.done)
		for k := range p.in {
			p.receive(k)
		}
	}()
	return p, nil
}

func (p *memPort) Join(ifs []Interface) error {
	p.box.lan.mu.Lock()
	defer p.box.lan.mu.Unlock()
	p.joined = map[int]bool{}
	for _, i := range ifs {
		p.joined[i.Index] = true
	}
	return nil
}

func (p *memPort) Send(data []byte, via Interface, to netip.AddrPort) error {
	l := p.box.lan
	l.mu.Lock()
	defer l.mu.Unlock()
	src := netip.AddrPortFrom(via.Prefixes[0].Addr(), p.port)
	local := via.Index == 1
	if !local {
		l.wire++
		l.bytes += len(data)
	}
	for _, b := range l.boxes {
		if local && b != p.box || b != p.box && l.lose() {
			continue
		}
		for _, o := range b.ports {
			multicast := to.Addr().IsMulticast() && o.port == to.Port() && o.joined[via.Index]
			unicast := o.port == to.Port() && slices.ContainsFunc(b.ifs, func(i Interface) bool {
				return i.Index == via.Index && i.Prefixes[0].Addr() == to.Addr()
			})
			if !multicast && !unicast {
				continue
			}
			k := Packet{Data: slices.Clone(data), Src: src, Index: via.Index, Multicast: multicast}
			time.AfterFunc(wireDelay, func() {
				l.mu.Lock()
				defer l.mu.Unlock()
				if slices.Contains(b.ports, o) {
					select {
					case o.in <- k:
					default:
					}
				}
			})
		}
	}
	return nil
}

func (p *memPort) Close() error {
	p.box.lan.mu.Lock()
	p.box.ports = slices.DeleteFunc(p.box.ports, func(o *memPort) bool { return o == p })
	close(p.in)
	p.box.lan.mu.Unlock()
	<-p.done
	return nil
}

// traffic returns the packets on the wire since the last call.
func (l *lan) traffic() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.wire
	l.wire, l.bytes = 0, 0
	return n
}

// A member is a node on a box of its own.
type member struct {
	*sink
	t       *testing.T
	id      string
	box     *box
	session interface{ Close() error }
}

func (l *lan) join(t *testing.T, n int) *member {
	t.Helper()
	return l.newBox(byte(n)).join(t, fmt.Sprintf("%04X", n))
}

// join starts a member on the box, which may have several.
func (b *box) join(t *testing.T, id string) *member {
	t.Helper()
	m := &member{sink: newSink(), t: t, id: id, box: b}
	m.start()
	return m
}

func (m *member) start() {
	m.t.Helper()
	m.startAs(m.sink)
}

// startAs starts the member with a sink that hands on to its own.
func (m *member) startAs(to discovery.Sink) {
	m.t.Helper()
	s, err := New(Options{Network: m.box}).Start(m.t.Context(),
		discovery.Self{Cluster: "any name", ID: m.id, Port: 7000}, to)
	if err != nil {
		m.t.Fatal(err)
	}
	m.session = s
}

func (m *member) close() {
	m.session.Close()
	m.sink.mu.Lock()
	defer m.sink.mu.Unlock()
	m.closed = true
}

// missing returns how many of the others a member was not told of.
func missing(ms []*member) (pairs, oneSided int) {
	for i, a := range ms {
		for _, b := range ms[:i] {
			ab, ba := len(a.candidates(b.id)) > 0, len(b.candidates(a.id)) > 0
			if !ab && !ba {
				pairs++
			}
			if ab != ba {
				oneSided++
			}
		}
	}
	return pairs, oneSided
}

// inLAN runs a test with a number of members in virtual time. Afterwards nothing
// may run any more: synctest sees to that.
func inLAN(t *testing.T, n int, f func(l *lan, ms []*member)) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		var ms []*member
		for i := range n {
			ms = append(ms, l.join(t, i+1))
		}
		f(l, ms)
		for _, m := range ms {
			m.close()
		}
		for _, m := range ms {
			if m.late {
				t.Errorf("%s was told something after Close", m.id)
			}
		}
		time.Sleep(time.Second) // packets on the way
	})
}

func TestAllFindAll(t *testing.T) {
	for _, n := range []int{2, 10, 50} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			inLAN(t, n, func(l *lan, ms []*member) {
				time.Sleep(2 * wireDelay)
				if pairs, _ := missing(ms); pairs > 0 {
					t.Errorf("%d pairs unknown to both sides after the announcements", pairs)
				}
				time.Sleep(2 * time.Second)
				if pairs, half := missing(ms); pairs+half > 0 {
					t.Errorf("after 2 s: %d pairs unknown to both, %d to one side", pairs, half)
				}
				t.Logf("%d packets on the wire in 2 s", l.traffic())
				for _, m := range ms {
					if c := m.candidates(m.id); len(c) > 0 {
						t.Errorf("%s was told of itself", m.id)
					}
					for _, o := range ms {
						if n := len(m.candidates(o.id)); n > 1 {
							t.Errorf("%s was told of %s %d times", m.id, o.id, n)
						}
					}
				}
			})
		})
	}
}

// A newcomer is announced to all at once, and learns of all by one question.
func TestNewcomer(t *testing.T) {
	for _, n := range []int{10, 40} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			inLAN(t, n, func(l *lan, ms []*member) {
				time.Sleep(20 * time.Minute)
				l.traffic()
				begin := time.Now()
				m := l.join(t, n+1)
				defer m.close()
				time.Sleep(10 * time.Second)
				for _, o := range ms {
					c := o.candidates(m.id)
					if len(c) != 1 || !c[0].Announced {
						t.Errorf("%s was told %+v", o.id, c)
						continue
					}
					if took := o.at[len(o.at)-1].Sub(begin); took > time.Millisecond {
						t.Errorf("%s was told after %v", o.id, took)
					}
					if c := m.candidates(o.id); len(c) != 1 || c[0].Announced {
						t.Errorf("the newcomer was told of %s: %+v", o.id, c)
					}
				}
				if took := m.at[len(m.at)-1].Sub(begin); took > 250*time.Millisecond {
					t.Errorf("the newcomer knew all after %v", took)
				}
				if p := l.traffic(); p > n+4+8+4 {
					t.Errorf("%d packets", p)
				} else {
					t.Logf("%d packets in 10 s", p)
				}
			})
		})
	}
}

// Once all is quiet, a whole link costs a few packets a minute.
func TestIdleTraffic(t *testing.T) {
	inLAN(t, 50, func(l *lan, ms []*member) {
		time.Sleep(2 * time.Minute)
		t.Logf("%d packets in the first 2 minutes", l.traffic())
		time.Sleep(10 * time.Minute)
		p := l.traffic()
		t.Logf("%.1f packets a minute then", float64(p)/10)
		if p > 90 {
			t.Errorf("%d packets in 10 minutes", p)
		}
		time.Sleep(3 * time.Hour)
		p = l.traffic()
		t.Logf("%.1f packets a minute in three hours", float64(p)/180)
		if p > 9*180 {
			t.Errorf("%d packets in 3 hours", p)
		}
		for _, m := range ms {
			e := engines.slots[m.box].engine
			if n := e.counters.instances.Load(); n != 49 {
				t.Errorf("%s still knows %d", m.id, n)
			}
		}
	})
}

func TestLoss(t *testing.T) {
	for seed := range uint64(10) {
		inLAN(t, 0, func(l *lan, _ []*member) {
			r := rand.New(rand.NewPCG(seed, 0))
			l.lose = func() bool { return r.Float64() < 0.2 }
			var ms []*member
			for i := range 10 {
				ms = append(ms, l.join(t, i+1))
			}
			begin := time.Now()
			// One side of a pair is enough for them to be connected, and comes
			// soon. The other may have missed all four announcements, and
			// then asks at doubling intervals.
			for {
				pairs, half := missing(ms)
				if pairs+half == 0 {
					break
				}
				if d := time.Since(begin); pairs > 0 && d > 30*time.Second || d > 10*time.Minute {
					t.Errorf("after %v, %d pairs do not know of each other, and in %d only one side does", d, pairs, half)
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			t.Logf("20 %% loss: all know all after %v", time.Since(begin))
			for _, m := range ms {
				m.close()
			}
		})
	}
}

// A node that leaves and comes back is announced again; so is one whose goodbyes
// were all lost, because it has another host name.
func TestLeaveAndReturn(t *testing.T) {
	for _, lost := range []bool{false, true} {
		inLAN(t, 3, func(l *lan, ms []*member) {
			time.Sleep(10 * time.Second)
			l.mu.Lock()
			l.lose = func() bool { return lost }
			l.mu.Unlock()
			ms[2].close()
			time.Sleep(time.Second)
			l.mu.Lock()
			l.lose = func() bool { return false }
			l.mu.Unlock()
			before := len(ms[0].candidates(ms[2].id))
			e := engines.slots[ms[0].box].engine
			if n := e.counters.instances.Load(); (n == 2) != lost {
				t.Errorf("goodbyes lost: %v, and %d known", lost, n)
			}
			ms[2].sink.closed = false
			ms[2].box.renumber(33, false)
			ms[2].start()
			time.Sleep(time.Second)
			cs := ms[0].candidates(ms[2].id)[before:]
			if len(cs) == 0 || !cs[0].Announced {
				t.Errorf("goodbyes lost: %v, told of the return: %+v", lost, cs)
			}
		})
	}
}

func TestAddressChange(t *testing.T) {
	inLAN(t, 3, func(l *lan, ms []*member) {
		time.Sleep(time.Minute)
		l.traffic()
		ms[0].box.renumber(77, false)
		time.Sleep(time.Second)
		for _, m := range ms[1:] {
			cs := m.candidates(ms[0].id)
			last := cs[len(cs)-1]
			if len(cs) != 2 || !last.Announced || !slices.Equal(last.Addrs, []netip.AddrPort{netip.MustParseAddrPort("10.0.0.77:7000")}) {
				t.Errorf("%s was told %+v", m.id, cs)
			}
		}
		if l.traffic() == 0 {
			t.Error("nothing announced")
		}
		time.Sleep(10 * time.Second)
		l.traffic()
		// After a sleep all is announced and asked anew.
		ms[0].box.renumber(77, true)
		time.Sleep(time.Second)
		if p := l.traffic(); p < 4 { // announcement, question, two replies
			t.Errorf("%d packets after a sleep", p)
		}
		// A report of no change is none.
		time.Sleep(time.Minute)
		l.traffic()
		ms[0].box.renumber(77, false)
		time.Sleep(time.Second)
		if p := l.traffic(); p != 0 {
			t.Errorf("%d packets after no change", p)
		}
	})
}

func TestReconfirm(t *testing.T) {
	inLAN(t, 3, func(l *lan, ms []*member) {
		time.Sleep(20 * time.Minute) // the next question is far
		doubt := func(id string) { ms[0].session.(discovery.Reconfirmer).Reconfirm(id) }

		doubt(ms[1].id)
		time.Sleep(2 * time.Second)
		if cs := ms[0].candidates(ms[1].id); len(cs) != 2 || cs[1].Announced {
			t.Errorf("told %+v of one that is there", cs)
		}

		// One that was cut off without a word.
		l.mu.Lock()
		l.boxes = slices.DeleteFunc(l.boxes, func(b *box) bool { return b == ms[2].box })
		l.mu.Unlock()
		e := engines.slots[ms[0].box].engine
		l.traffic()
		doubt(ms[2].id)
		time.Sleep(9 * time.Second)
		if n := known(e, ms[0].service()); n != 2 {
			t.Errorf("after 9 s %d are known", n)
		}
		if p := l.traffic(); p != 2 {
			t.Errorf("%d packets, want two questions", p)
		}
		time.Sleep(2 * time.Second)
		if n := known(e, ms[0].service()); n != 1 {
			t.Errorf("after 11 s %d are known", n)
		}
		doubt("ABCDEF") // of which nobody has heard
		time.Sleep(time.Minute)
	})
}

func known(e *engine, service string) (n int) {
	e.do(func() { n = e.cache.known(service) })
	return n
}

func (m *member) service() string {
	s, _ := serviceType("any name")
	return s
}

// Without port 5353, nodes are found by asking.
func TestPortTaken(t *testing.T) {
	inLAN(t, 3, func(l *lan, ms []*member) {
		time.Sleep(10 * time.Second)
		b := l.newBox(9)
		b.denied = true
		m := b.join(t, "9999")
		defer m.close()
		time.Sleep(time.Second)
		for _, o := range ms {
			if len(m.candidates(o.id)) == 0 {
				t.Errorf("%s was not found", o.id)
			}
		}
		l.mu.Lock()
		b.denied = false
		l.mu.Unlock()
		b.renumber(10, false)
		time.Sleep(time.Second)
		for _, o := range ms {
			if len(o.candidates(m.id)) == 0 {
				t.Errorf("%s did not find it once the port was free", o.id)
			}
		}
	})
}

// Once the other program has ended, the port is taken without a change of the network,
// and everybody hears of the node. Until then nobody is bothered.
func TestPortFreed(t *testing.T) {
	inLAN(t, 3, func(l *lan, ms []*member) {
		b := l.newBox(9)
		b.denied = true
		var log bytes.Buffer
		m := &member{sink: newSink(), t: t, id: "9999", box: b}
		s, err := New(Options{Network: b, Logger: slog.New(slog.NewTextHandler(&log, nil))}).Start(t.Context(),
			discovery.Self{Cluster: "any name", ID: m.id, Port: 7000}, m.sink)
		if err != nil {
			t.Fatal(err)
		}
		m.session = s
		defer m.close()
		time.Sleep(10 * time.Minute)
		if n := strings.Count(log.String(), "not available"); n != 1 {
			t.Errorf("%d warnings:\n%s", n, log.String())
		}
		l.traffic()
		time.Sleep(30 * time.Minute)
		if p := l.traffic(); p > 60 {
			t.Errorf("%d packets in 30 minutes", p)
		}
		for _, o := range ms {
			if len(o.candidates(m.id)) > 0 {
				t.Errorf("%s has found it", o.id)
			}
		}
		l.mu.Lock()
		b.denied = false
		l.mu.Unlock()
		time.Sleep(time.Minute + time.Second)
		for _, o := range ms {
			if cs := o.candidates(m.id); len(cs) != 1 || !cs[0].Announced {
				t.Errorf("%s was told %+v", o.id, cs)
			}
		}
		newcomer := l.join(t, 10)
		defer newcomer.close()
		time.Sleep(time.Second)
		if cs := m.candidates(newcomer.id); len(cs) != 1 || !cs[0].Announced {
			t.Errorf("it was told of a newcomer %+v", cs)
		}
	})
}

// Where a change of the network is what has it try, it is announced on all interfaces.
func TestPortFreedByAChangeElsewhere(t *testing.T) {
	inLAN(t, 1, func(l *lan, ms []*member) {
		b := l.newBox(9)
		b.denied = true
		m := b.join(t, "9999")
		defer m.close()
		time.Sleep(10 * time.Second)
		l.mu.Lock()
		b.denied = false
		l.mu.Unlock()
		b.setInterfaces(append(b.interfaces(9), Interface{
			net.Interface{Index: 3, Name: "docker0", Flags: net.FlagUp | net.FlagMulticast}, []netip.Prefix{prefix("172.17.0.1/16")},
		}), false)
		time.Sleep(time.Second)
		if len(ms[0].candidates(m.id)) == 0 {
			t.Error("not found")
		}
	})
}

// A node that is not told which interfaces there are starts all the same, and begins
// on each when it is.
func TestInterfacesUnknownAtFirst(t *testing.T) {
	inLAN(t, 1, func(l *lan, ms []*member) {
		b := l.newBox(9)
		b.blind = true
		m := b.join(t, "9999")
		defer m.close()
		time.Sleep(time.Minute)
		b.renumber(9, false)
		time.Sleep(time.Second)
		if pairs, half := missing([]*member{m, ms[0]}); pairs+half > 0 {
			t.Errorf("%d pairs unknown to both sides, %d to one", pairs, half)
		}
	})
}

// A goodbye in a reply counts for nothing: who it speaks of cannot hear it, and so
// cannot say that it is there.
func TestGoodbyeInAReply(t *testing.T) {
	inLAN(t, 2, func(l *lan, ms []*member) {
		time.Sleep(time.Minute)
		stranger := l.newBox(66)
		via := stranger.ifs[1]
		var port Transport
		replied := make(chan struct{}, 1)
		port, _ = stranger.Open(Port, func(p Packet) {
			var m message
			if parse(p.Data, &m) != nil || m.response || p.Src.Port() == Port {
				return
			}
			b, err := build(&message{id: m.id, response: true, records: []record{
				{name: ms[0].service(), typ: dnsmessage.TypePTR, target: ms[1].id + "." + ms[0].service()},
			}})
			if err != nil {
				t.Error(err)
			}
			time.AfterFunc(time.Second/2, func() { // the true answers have come, and the next question has not
				if err := port.Send(b, via, p.Src); err == nil {
					replied <- struct{}{}
				}
			})
		})
		defer port.Close()
		if err := port.Join([]Interface{via}); err != nil {
			t.Fatal(err)
		}
		ms[0].box.renumber(1, true)
		<-replied
		time.Sleep(2 * wireDelay)
		if n := known(engines.slots[ms[0].box].engine, ms[0].service()); n != 1 {
			t.Errorf("%d are known", n)
		}
	})
}

// Several nodes of one process share its engine and know of each other.
func TestOneProcess(t *testing.T) {
	inLAN(t, 1, func(l *lan, ms []*member) {
		b := l.newBox(50)
		var nodes []*member
		for i := range 20 {
			m := b.join(t, fmt.Sprintf("AA%02X", i))
			nodes = append(nodes, m)
		}
		l.mu.Lock()
		if n := len(b.ports); n > 2 {
			t.Errorf("%d ports are open", n)
		}
		l.mu.Unlock()
		if pairs, half := missing(nodes); pairs+half > 0 {
			t.Errorf("%d pairs unknown to both, %d to one side", pairs, half)
		}
		time.Sleep(2 * time.Second)
		if pairs, half := missing(append(nodes, ms[0])); pairs+half > 0 {
			t.Errorf("with another machine: %d pairs unknown to both, %d to one side", pairs, half)
		}
		var wait sync.WaitGroup
		for _, m := range nodes {
			wait.Go(m.close)
		}
		wait.Wait()
		if len(b.ports) > 0 || len(b.watch) > 0 {
			t.Errorf("left open: %d ports, %d watchers", len(b.ports), len(b.watch))
		}
		// The first on a network is started anew after the last.
		nodes[0].sink = newSink()
		nodes[0].start()
		time.Sleep(2 * time.Second)
		if len(nodes[0].candidates(ms[0].id)) == 0 {
			t.Error("found nobody when started again")
		}
		nodes[0].close()
	})
}

// Two nodes with one ID are told of each other, so that they can find out.
func TestSameID(t *testing.T) {
	inLAN(t, 1, func(l *lan, ms []*member) {
		time.Sleep(10 * time.Second)
		m := l.newBox(50).join(t, ms[0].id)
		time.Sleep(10 * time.Second)
		for i, cs := range [][]discovery.Candidate{ms[0].candidates(m.id), m.candidates(m.id)} {
			if len(cs) != 1 {
				t.Errorf("node %d was told %+v", i, cs)
			}
		}
		l.traffic()
		time.Sleep(10 * time.Minute)
		if p := l.traffic(); p > 60 {
			t.Errorf("%d packets of defence in 10 minutes", p)
		}
		m.close()
	})
}

// A loopback node sends nothing that leaves the machine.
func TestLoopbackNodeStaysAtHome(t *testing.T) {
	inLAN(t, 0, func(l *lan, _ []*member) {
		b := l.newBox(1)
		s, err := New(Options{Network: b}).Start(t.Context(), discovery.Self{
			Cluster: "chat", ID: "AB", Port: 7000, Addrs: []netip.Addr{at("127.0.0.1")},
		}, newSink())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		s.Close()
		if p := l.traffic(); p != 0 {
			t.Errorf("%d packets left the machine", p)
		}
	})
}

func TestStartRefuses(t *testing.T) {
	d := New(Options{Network: newLAN().newBox(1)})
	for _, self := range []discovery.Self{
		{ID: "AB", Port: 1},
		{Cluster: "chat", Port: 1},
		{Cluster: "chat", ID: "x.y", Port: 1},
		{Cluster: "chat", ID: "AB"},
	} {
		if s, err := d.Start(t.Context(), self, newSink()); err == nil {
			s.Close()
			t.Errorf("%+v was accepted", self)
		}
	}
	if n := len(engines.slots); n != 0 {
		t.Errorf("%d engines left", n)
	}
}

// Strangers' packets neither crash nor stall an engine, nor make it dial others.
func TestForgedPackets(t *testing.T) {
	inLAN(t, 2, func(l *lan, ms []*member) {
		time.Sleep(10 * time.Second)
		l.mu.Lock()
		p := ms[0].box.ports[0]
		l.mu.Unlock()
		e := engines.slots[ms[0].box].engine
		for _, b := range hostile() {
			p.in <- Packet{Data: b, Src: peer, Index: 2, Multicast: true}
		}
		n := testNode("BAD0")
		n.service = ms[0].service()
		n.instance = "BAD0." + n.service
		n.txt = []string{"v=1", "name=any name"}
		forged := announcementOf(t, n)
		for _, k := range []Packet{
			{Src: legacy, Index: 2, Multicast: true}, // not from 5353
			{Src: peer, Index: 2},                    // not multicast
			{Src: netip.MustParseAddrPort("192.0.2.1:5353"), Index: 2, Multicast: true},     // not of this link
			{Src: peer, Index: 9, Multicast: true},                                          // by no interface
			{Src: netip.MustParseAddrPort("[2001:db8::1]:5353"), Index: 2, Multicast: true}, // not of this link
			{Src: netip.MustParseAddrPort("127.0.0.1:5353"), Index: 2, Multicast: true},     // a Martian
		} {
			k.Data = forged
			p.in <- k
		}
		time.Sleep(time.Second)
		if cs := ms[0].candidates("BAD0"); len(cs) > 0 {
			t.Errorf("told of %+v", cs)
		}
		if got := e.counters.stats(); got.OffLink != 6 || got.Unrelated == 0 {
			t.Errorf("counted %+v", got)
		}
		p.in <- Packet{Data: forged, Src: peer, Index: 2, Multicast: true}
		time.Sleep(time.Second)
		if cs := ms[0].candidates("BAD0"); len(cs) != 1 {
			t.Errorf("not told of one that is of this link: %+v", cs)
		}
	})
}

// connectedSink is the sink of a node that is connected with others.
type connectedSink struct {
	*sink
	peers func() map[string]netip.Addr
}

func (c connectedSink) Connected() map[string]netip.Addr { return c.peers() }

// connected makes members that are connected with each other a moment after they
// have started, one every pause.
func (l *lan) connected(t *testing.T, n int, pause time.Duration) (ms []*member) {
	t.Helper()
	peers := map[string]netip.Addr{} // guarded by l.mu
	for i := range n {
		m := &member{sink: newSink(), t: t, id: fmt.Sprintf("%04X", i+1), box: l.newBox(byte(i + 1))}
		time.AfterFunc(time.Millisecond, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			peers[m.id] = m.box.ifs[1].Prefixes[0].Addr()
		})
		m.startAs(connectedSink{m.sink, func() map[string]netip.Addr {
			l.mu.Lock()
			defer l.mu.Unlock()
			all := maps.Clone(peers)
			delete(all, m.id)
			return all
		}})
		ms = append(ms, m)
		time.Sleep(pause)
	}
	return ms
}

// Nodes that are connected need no answers from each other, but their records have to
// be renewed: they once went out of all caches after an hour and a quarter, and before
// that everybody asked for each of them in vain.
func TestIdleTrafficOfConnected(t *testing.T) {
	for _, pause := range []time.Duration{0, time.Second, time.Minute} {
		t.Run(pause.String(), func(t *testing.T) {
			inLAN(t, 0, func(l *lan, _ []*member) {
				ms := l.connected(t, 50, pause)
				for hour := range 3 {
					l.traffic()
					time.Sleep(time.Hour)
					p := l.traffic()
					t.Logf("hour %d: %.1f packets a minute", hour, float64(p)/60)
					if p > 9*60 {
						t.Errorf("%d packets in hour %d", p, hour)
					}
				}
				if n := known(engines.slots[ms[0].box].engine, ms[0].service()); n != 49 {
					t.Errorf("the first knows %d", n)
				}
				// A second node of a process hears of all at once, also of those that
				// have not heard of it.
				l.mu.Lock()
				l.boxes = slices.DeleteFunc(l.boxes, func(b *box) bool { return b == ms[1].box })
				l.mu.Unlock()
				last := ms[len(ms)-1]
				second := last.box.join(t, "AAAA")
				time.Sleep(2 * time.Second)
				for _, m := range ms {
					if len(second.candidates(m.id)) == 0 && m != ms[1] {
						t.Errorf("a second node of %s's process is not told of %s", last.id, m.id)
					}
				}
				for _, m := range append(ms, second) {
					m.close()
				}
			})
		})
	}
}

// What was known before an address changed, or the machine slept, may be out of date,
// and is asked for as if it were not known: also where there are many, and where the
// address was gone for a while.
func TestAskAnew(t *testing.T) {
	for name, tc := range map[string]struct {
		others int
		gap    bool
	}{"few": {8, false}, "many": {12, false}, "few, and a gap": {8, true}, "many, and a gap": {12, true}} {
		t.Run(name, func(t *testing.T) {
			inLAN(t, tc.others, func(l *lan, ms []*member) {
				time.Sleep(time.Minute)
				asleep := true // guarded by l.mu
				a, b := ms[0], ms[1]
				l.mu.Lock()
				l.lose = func() bool { return asleep }
				l.mu.Unlock()
				if tc.gap {
					none := a.box.interfaces(1)
					none[1].Prefixes = nil
					a.box.setInterfaces(none, false)
				}
				// Meanwhile another has started again, with another port.
				b.session.Close()
				s, err := New(Options{Network: b.box}).Start(t.Context(), discovery.Self{Cluster: "any name", ID: b.id, Port: 7777}, b.sink)
				if err != nil {
					t.Fatal(err)
				}
				b.session = s
				time.Sleep(20 * time.Second)
				l.mu.Lock()
				asleep = false
				l.mu.Unlock()
				a.box.setInterfaces(a.box.interfaces(1), !tc.gap)
				time.Sleep(time.Second)
				cs := a.candidates(b.id)
				if last := cs[len(cs)-1]; last.Addrs[0].Port() != 7777 {
					t.Errorf("told last of %v", last)
				}
			})
		})
	}
}

// Whoever has asked for an instance together with others does not ask again together
// with them.
func TestAsksAreSpread(t *testing.T) {
	inLAN(t, 50, func(l *lan, ms []*member) {
		time.Sleep(20 * time.Minute)
		l.mu.Lock()
		l.boxes = l.boxes[1:] // is gone
		l.mu.Unlock()
		l.traffic()
		for _, m := range ms[1:] {
			m.session.(discovery.Reconfirmer).Reconfirm(ms[0].id)
		}
		time.Sleep(5 * time.Second)
		if p := l.traffic(); p > 6 {
			t.Errorf("%d packets for one that is gone", p)
		}

		// A stranger names a hundred instances that do not exist.
		m := &message{response: true}
		for i := range 100 {
			m.records = append(m.records, record{
				name: ms[0].service(), typ: dnsmessage.TypePTR, ttl: otherTTL, target: fmt.Sprintf("BAD%03X.%s", i, ms[0].service()),
			})
		}
		b, err := build(m)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range ms[1:] {
			m.box.ports[0].in <- Packet{Data: b, Src: peer, Index: 2, Multicast: true}
		}
		time.Sleep(10 * time.Second)
		if p := l.traffic(); p > 300 {
			t.Errorf("%d packets because of a stranger's one", p)
		}
	})
}

// One that was doubted, and heard a moment before, is there if it answers again; and
// so is each of many that are doubted at once.
func TestDoubtsAreAnswered(t *testing.T) {
	inLAN(t, 3, func(l *lan, ms []*member) {
		b := l.newBox(50)
		all := slices.Clone(ms[1:2])
		for i := range 200 {
			m := b.join(t, fmt.Sprintf("AA%02X", i))
			defer m.close()
			all = append(all, m)
		}
		time.Sleep(20 * time.Minute)
		e := engines.slots[ms[0].box].engine
		before := known(e, ms[0].service())
		ms[2].session.(discovery.Reconfirmer).Reconfirm(ms[1].id)
		time.Sleep(3 * time.Second)
		told := len(ms[0].candidates(ms[1].id))
		for _, m := range all {
			ms[0].session.(discovery.Reconfirmer).Reconfirm(m.id)
		}
		time.Sleep(20 * time.Second)
		if n := len(ms[0].candidates(ms[1].id)) - told; n != 1 {
			t.Errorf("told %d times of one that has answered", n)
		}
		if n := known(e, ms[0].service()); n != before {
			t.Errorf("%d of %d are known", n, before)
		}
	})
}
