package tcpnettest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"runtime/metrics"
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/discovery"
)

// noDiscovery is for members that have seeds.
var noDiscovery = []discovery.Discoverer{}

// world is a schedule that is carried out.
type world struct {
	s        schedule
	wire     func(string) // gets every packet and every note
	t        *testing.T
	lan      *LAN
	base     int // goroutines before, and
	baseHeap int // bytes in use

	members []*member
	runs    []*run
	busy    sync.WaitGroup // steps under way

	mu         sync.Mutex // guards what follows
	violations []violation
	streams    []*stream
	closes     map[[2]int]bool            // runs whose programs closed a connection of theirs
	shut       map[[2]netip.AddrPort]bool // connections whose other end may not be read
	shaken     map[*Host]time.Duration
	shakenAll  time.Duration
	trouble    int // global faults that last
	local      map[*Host]int
	twins      map[tcpnet.ID]bool
	stopped    bool // no more faults
	settled    time.Duration
	dials      int // the most by one host in a sample
	datagrams  int
	goroutines int
	heap       int // bytes in use: the most in a sample,
	faultsHeap int // at the end of the faults,
	wellHeap   int // and when all was well
}

// violation is a rule that was broken.
type violation struct{ kind, text string }

// sampleEvery is how often the use of resources is looked at.
const sampleEvery = 10 * time.Second

// How long after the last fault all is well again: as long as the faults lasted,
// because nodes that never met ask for others at doubling intervals, and
const (
	bound = 45 * time.Second
	// afterglow is how long after a fault it may be the reason of an end.
	afterglow = 45 * time.Second
)

// carryOut runs a schedule and returns what was wrong, and what happened.
func carryOut(t *testing.T, s schedule, wire func(string)) (w *world) {
	w = &world{s: s, wire: wire, closes: map[[2]int]bool{}, shut: map[[2]netip.AddrPort]bool{}, shaken: map[*Host]time.Duration{}, local: map[*Host]int{}, twins: map[tcpnet.ID]bool{}}
	w.base, w.baseHeap = runtime.NumGoroutine(), collect()
	defer func() {
		if r := recover(); r != nil {
			w.violation("panic", "%v", r)
		}
	}()
	RunSeed(t, s.seed, func(t *testing.T, lan *LAN) {
		w.t, w.lan = t, lan
		lan.wire = w.wire
		w.begin()
		for _, st := range s.steps {
			w.busy.Go(func() {
				time.Sleep(st.at)
				w.do(st)
			})
		}
		stop := make(chan struct{})
		var sampling sync.WaitGroup
		sampling.Go(func() { w.sample(stop) })
		time.Sleep(s.faults)
		w.busy.Wait()
		w.calmDown()
		w.await()
		close(stop)
		sampling.Wait()
		w.end()
	})
	return w
}

func (w *world) now() time.Duration { return time.Since(w.lan.began) }

func (w *world) violation(kind, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if w.lan != nil {
		w.lan.Note("VIOLATION: %s: %s", kind, text)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.violations = append(w.violations, violation{kind, text})
}

func (w *world) note(r *run, format string, args ...any) {
	w.lan.Note("    %v %s", r.m.host, fmt.Sprintf(format, args...))
}

func (w *world) newRun(m *member) *run {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := &run{m: m, number: len(w.runs), met: map[int]int{}, live: map[tcpnet.ID]*tcpnet.Conn{}, joined: map[*tcpnet.Conn]time.Duration{}, left: map[*tcpnet.Conn]error{}}
	w.runs = append(w.runs, r)
	return r
}

func (w *world) newStream(from, to int, c *tcpnet.Conn) *stream {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &stream{index: len(w.streams), from: from, to: to, cut: w.shut[socketOf(c)]}
	w.streams = append(w.streams, s)
	return s
}

func (w *world) stream(index int) *stream {
	w.mu.Lock()
	defer w.mu.Unlock()
	if index < 0 || index >= len(w.streams) {
		return nil
	}
	return w.streams[index]
}

// programClosed takes note that a program has closed a connection, if it was not
// only because the other side had.
func (w *world) programClosed(a, b int, answer bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closes[[2]int{min(a, b), max(a, b)}] = true
}

func (w *world) wasClosed(a, b *run) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closes[[2]int{min(a.number, b.number), max(a.number, b.number)}]
}

// cut says that one program may not have read all that another has written, or will
// write on the connection c, which it may not have got yet.
func (w *world) cut(reader, writer int, c *tcpnet.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shut[socketOf(c)] = true
	for _, s := range w.streams {
		if s.to == reader && s.from == writer {
			s.mu.Lock()
			s.cut = true
			s.mu.Unlock()
		}
	}
}

// shake says that a fault of some hosts, or all, begins, and returns what says that
// it is over.
func (w *world) shake(hosts ...*Host) (over func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(hosts) == 0 {
		w.trouble++
	}
	for _, h := range hosts {
		w.local[h]++
	}
	return func() {
		now := w.now()
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(hosts) == 0 {
			w.trouble--
			w.shakenAll = now
		}
		for _, h := range hosts {
			w.local[h]--
			w.shaken[h] = now
		}
	}
}

// disturbed reports whether faults can be the reason that two hosts lose each other.
func (w *world) disturbed(a, b *Host) bool {
	now := w.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	recent := func(at time.Duration) bool { return at > 0 && now-at < afterglow }
	if w.trouble > 0 || recent(w.shakenAll) {
		return true
	}
	for _, h := range []*Host{a, b} {
		if w.local[h] > 0 || recent(w.shaken[h]) {
			return true
		}
	}
	return false
}

func (w *world) calm() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stopped
}

// pause waits, unless the connection ends before.
func (w *world) pause(d time.Duration, ctx context.Context) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// begin makes the LAN and lets the first members join.
func (w *world) begin() {
	var second *Switch
	if w.s.network == twoWays {
		second = w.lan.Switch()
	}
	for i, h := range w.lan.Hosts(w.s.members) {
		if second != nil {
			h.Attach(second)
		}
		if w.s.network == linkLocal {
			h.AddAddr("eth0", netip.MustParsePrefix(fmt.Sprintf("fe80::%x/64", i+1)))
		}
		w.members = append(w.members, &member{w: w, host: h, index: i, rejects: map[tcpnet.ID]int{}})
	}
	for _, m := range w.members[:w.s.first] {
		m.join()
	}
}

// do does one step, and undoes it when it is over.
func (w *world) do(st step) {
	a, b := w.members[st.a], w.members[st.b]
	wait := func() { time.Sleep(st.size) }
	switch st.op {
	case opJoin:
		a.join()
	case opShutdown:
		a.stop(true, func(n *tcpnet.Node) {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			n.Shutdown(ctx)
		})
		wait()
		a.join()
	case opClose:
		a.stop(true, func(n *tcpnet.Node) { n.Close() })
		wait()
		a.join()
	case opCrash:
		a.stop(false, func(*tcpnet.Node) { a.host.Crash() })
		wait()
		a.join()
	case opRestart:
		a.stop(false, func(*tcpnet.Node) { a.host.Crash() })
		a.join()
	case opRenew:
		a.stop(false, func(*tcpnet.Node) { a.host.Crash() })
		a.mu.Lock()
		a.id = ""
		a.mu.Unlock()
		a.join()
	case opPower:
		over := w.shake(a.host)
		a.stop(false, func(*tcpnet.Node) {})
		a.host.PowerOff()
		wait()
		a.host.PowerOn()
		over()
		a.join()
	case opPartition:
		over := w.shake()
		r := rand.New(rand.NewPCG(w.s.seed, uint64(st.at)))
		sides := make([][]*Host, 2+r.IntN(2))
		for _, m := range w.members {
			i := r.IntN(len(sides))
			sides[i] = append(sides[i], m.host)
		}
		w.lan.Partition(sides...)
		wait()
		w.lan.Heal()
		over()
	case opCut, opOneWay, opFirewall:
		over := w.shake(a.host, b.host)
		switch st.op {
		case opCut:
			w.lan.Cut(a.host, b.host)
		case opOneWay:
			w.lan.Set(a.host, b.host, Drop)
		default:
			w.lan.Set(b.host, a.host, [...]Policy{DropDials, RefuseDials}[int(st.x*2)])
		}
		if st.op == opFirewall && st.x < 0.3 || st.op == opCut && st.x < 0.1 {
			over() // it stays
			return
		}
		wait()
		w.lan.Set(a.host, b.host, Pass)
		w.lan.Set(b.host, a.host, Pass)
		over()
	case opHeal:
		w.lan.Heal()
	case opLoss:
		over := w.shake()
		w.lan.SetConditions(Conditions{Latency: time.Millisecond, Jitter: 5 * time.Millisecond, Loss: st.x / 2, Duplicate: st.x / 10})
		wait()
		w.lan.SetConditions(Ethernet)
		over()
	case opDelay:
		over := w.shake()
		d := time.Duration(st.x * st.x * float64(3*time.Second))
		w.lan.SetConditions(Conditions{Latency: d, Jitter: d / 2})
		wait()
		w.lan.SetConditions(Ethernet)
		over()
	case opFreeze:
		a.stall()
		over := w.shake(a.host)
		a.host.Freeze()
		wait()
		a.host.Thaw()
		over()
	case opSleep:
		a.stall()
		over := w.shake(a.host)
		a.host.Sleep()
		wait()
		a.host.Wake()
		over()
	case opTwin:
		if id := a.name(); id != "" {
			w.twin(id, b.host, st.size)
		}
	case opRenumber:
		over := w.shake(a.host)
		a.host.Renumber("eth0")
		over()
	case opUnplug:
		over := w.shake(a.host)
		a.host.Unplug("eth0")
		wait()
		a.host.Plug("eth0")
		over()
	case opDown:
		over := w.shake(a.host)
		a.host.SetUp("eth0", false)
		wait()
		a.host.SetUp("eth0", true)
		over()
	case opDetach:
		w.detach(a.host, wait)
	case opReject:
		id := b.name()
		if id == "" {
			return
		}
		a.mu.Lock()
		a.rejects[id]++
		a.mu.Unlock()
		if r := a.current(); r != nil {
			if c, ok := r.node.Connection(id); ok {
				w.closeConn(r, c)
			}
		}
		wait()
		a.mu.Lock()
		a.rejects[id]--
		a.mu.Unlock()
	case opCloseAll:
		if r := a.current(); r != nil {
			for _, c := range r.node.Connections() {
				w.closeConn(r, c)
			}
		}
	case opSlow:
		a.mu.Lock()
		a.slow++
		a.mu.Unlock()
		wait()
		a.mu.Lock()
		a.slow--
		a.mu.Unlock()
	}
}

// twin is a node with another's ID on a host for a while.
func (w *world) twin(id tcpnet.ID, h *Host, d time.Duration) {
	over := w.shake()
	w.mu.Lock()
	w.twins[id] = true
	w.mu.Unlock()
	m := &member{w: w, host: h, id: id, extra: true, rejects: map[tcpnet.ID]int{}}
	m.join()
	time.Sleep(d)
	m.stop(true, func(n *tcpnet.Node) { n.Close() })
	over()
}

// detach removes an interface, if it is there, and puts a new one in its place.
func (w *world) detach(h *Host, wait func()) {
	w.lan.mu.Lock()
	p := h.ports[len(h.ports)-1]
	w.lan.mu.Unlock()
	if p.sw == nil || p.ifi.Name == "eth0" {
		return // others expect it
	}
	over := w.shake(h)
	h.Detach(p.ifi.Name)
	wait()
	h.Attach(p.sw)
	over()
}

func (w *world) hadTwin(id tcpnet.ID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.twins[id]
}

func (w *world) closeConn(r *run, c *tcpnet.Conn) {
	var peer int
	fmt.Sscan(c.Peer().Meta["run"], &peer)
	w.programClosed(r.number, peer, false)
	w.cut(r.number, peer, c)
	w.cut(peer, r.number, c)
	c.Close()
}

// socketOf returns what the two ends of a connection have in common.
func socketOf(c *tcpnet.Conn) (both [2]netip.AddrPort) {
	for i, a := range []net.Addr{c.LocalAddr(), c.RemoteAddr()} {
		ap := a.(*net.TCPAddr).AddrPort()
		both[i] = netip.AddrPortFrom(ap.Addr().WithZone(""), ap.Port())
	}
	if both[1].Compare(both[0]) < 0 {
		both[0], both[1] = both[1], both[0]
	}
	return both
}

// calmDown ends all faults but those that last.
func (w *world) calmDown() {
	w.mu.Lock()
	w.stopped = true
	w.mu.Unlock()
	w.lan.Note("no more faults")
	w.faultsHeap = collect() - w.baseHeap
	for _, m := range w.members {
		m.join()
	}
}

// await waits until all is well, and checks that it stays so.
func (w *world) await() {
	begin := w.now()
	limit := begin + w.s.faults + bound
	for {
		err := w.meshed()
		if err == nil {
			break
		}
		if w.now() > limit {
			w.violation("not meshed", "%v after the last fault: %v", w.now()-begin, err)
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.settled = w.now() - begin
	w.lan.Note("all is well after %v", w.settled)
	// What still goes on has an end: programs that read late, links to
	// addresses that are gone.
	time.Sleep(40 * time.Second)
	since := w.now()
	time.Sleep(40 * time.Second)
	if err := w.meshed(); err != nil {
		w.violation("not stable", "%v", err)
	}
	w.wellHeap = collect() - w.baseHeap
	for _, m := range w.members {
		r := m.current()
		r.mu.Lock()
		if r.last > since {
			w.violation("not stable", "%v: a connection came or went at %v, though all was well from %v on", r, r.last, since)
		}
		r.mu.Unlock()
	}
}

// meshed reports what is missing: between all who can reach one another in one
// direction at least there is exactly one connection, and both mean the same.
func (w *world) meshed() error {
	for _, a := range w.members {
		ra := a.current()
		if ra == nil {
			return fmt.Errorf("%v is not there", a.host)
		}
		conns := ra.node.Connections()
		for _, b := range w.members {
			rb := b.current()
			if a == b || rb == nil || w.unknown(a) || w.unknown(b) {
				continue
			}
			var ab []*tcpnet.Conn
			for _, c := range conns {
				if c.Peer().ID == rb.node.ID() {
					ab = append(ab, c)
				}
			}
			ba, ok := rb.node.Connection(ra.node.ID())
			switch w.way(a.host, b.host) {
			case Drop:
				if len(ab) > 0 {
					return fmt.Errorf("%v and %v are connected, though nothing can pass between them", a.host, b.host)
				}
				continue
			case DropDials: // one that they had lives on
				if len(ab) == 0 && !ok {
					continue
				}
			}
			switch {
			case len(ab) == 0 || !ok:
				return fmt.Errorf("%v has %d connections to %v, which has one back: %v", ra, len(ab), rb, ok)
			case len(ab) > 1:
				return fmt.Errorf("%v has %d connections to %v", ra, len(ab), rb)
			case ab[0].LocalAddr().String() != ba.RemoteAddr().String() || ba.LocalAddr().String() != ab[0].RemoteAddr().String():
				return fmt.Errorf("%v and %v are connected by different sockets: %v > %v, %v > %v", ra, rb,
					ab[0].LocalAddr(), ab[0].RemoteAddr(), ba.LocalAddr(), ba.RemoteAddr())
			}
		}
		if len(conns) >= len(w.members) {
			return fmt.Errorf("%v has connections to nodes that are gone", ra)
		}
	}
	return nil
}

// unknown reports whether nobody can have heard of a member: there is no multicast, and it
// can dial none of the seeds.
func (w *world) unknown(m *member) bool {
	if w.s.network != seedsOnly {
		return false
	}
	w.lan.mu.Lock()
	defer w.lan.mu.Unlock()
	for _, seed := range w.members[:min(2, len(w.members))] {
		if seed == m || w.lan.policy(m.host, seed.host) == Pass && w.lan.policy(seed.host, m.host) != Drop {
			return false
		}
	}
	return true
}

// way returns what hinders two hosts: Drop if nothing passes between them one way or
// both, DropDials if neither can dial the other.
func (w *world) way(a, b *Host) Policy {
	w.lan.mu.Lock()
	defer w.lan.mu.Unlock()
	p, q := w.lan.policy(a, b), w.lan.policy(b, a)
	switch {
	case p == Drop || q == Drop:
		return Drop
	case p != Pass && q != Pass:
		return DropDials
	}
	return Pass
}

// sample looks at what is used every now and then.
func (w *world) sample(stop <-chan struct{}) {
	last := map[*Host]Stats{}
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		w.goroutines = max(w.goroutines, runtime.NumGoroutine()-w.base)
		if heapInUse()-w.baseHeap > w.heap { // what was allocated meanwhile counted as used
			w.heap = max(w.heap, collect()-w.baseHeap)
		}
		for _, m := range w.members {
			s := m.host.Stats()
			w.dials = max(w.dials, s.Dials-last[m.host].Dials)
			w.datagrams = max(w.datagrams, s.Datagrams-last[m.host].Datagrams)
			last[m.host] = s
		}
	}
}

// heapInUse returns how many bytes the last collection of garbage has left.
func heapInUse() int {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	return int(live[0].Value.Uint64())
}

// collect returns how many bytes of the heap are in use.
func collect() int {
	runtime.GC()
	return heapInUse()
}

// end ends all nodes and looks at what is left.
func (w *world) end() {
	n := len(w.runs)
	if limit := 200 + 40*n + 12*n*n; w.goroutines > limit {
		w.violation("goroutines", "%d, more than %d", w.goroutines, limit)
	}
	const kB = 1000
	// A socket of the LAN holds up to a window of what a slow program has not read.
	if limit := 256*kB + 64*kB*n + 64*kB*n*n; max(w.heap, w.faultsHeap) > limit {
		w.violation("memory", "%d bytes, more than %d", max(w.heap, w.faultsHeap), limit)
	}
	m := len(w.members)
	if limit := 256*kB + 32*kB*n + 32*kB*m*m; w.wellHeap > limit {
		w.violation("memory", "%d bytes when all is well, more than %d", w.wellHeap, limit)
	}
	if limit := 60 + 40*n; w.dials > limit {
		w.violation("dials", "%d by one host in %v, more than %d", w.dials, sampleEvery, limit)
	}
	if limit := 100 + 20*n; w.datagrams > limit {
		w.violation("datagrams", "%d by one host in %v, more than %d", w.datagrams, sampleEvery, limit)
	}
	var all sync.WaitGroup
	for i, m := range w.members {
		all.Go(func() {
			m.stop(true, func(n *tcpnet.Node) {
				if i%2 == 0 {
					n.Close()
					return
				}
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				n.Shutdown(ctx)
			})
		})
	}
	all.Wait()
	for _, r := range w.runs {
		r.watch.Wait()
		r.mu.Lock()
		for c := range r.joined {
			if r.left[c] == nil {
				w.violation("joined without left", "%v: %v", r, c)
			}
		}
		r.mu.Unlock()
	}
	w.lan.closing.Wait()
	time.Sleep(time.Second)
	w.checkStreams()
	w.lan.mu.Lock()
	var left []string
	for _, h := range w.lan.hosts {
		for _, s := range h.socketsInOrder() {
			if !s.closed {
				left = append(left, fmt.Sprintf("%v: socket %v > %v", h, s.local, s.remote))
			}
		}
		if k := len(h.listeners) + len(h.process.transports) + len(h.process.watchers); k > 0 {
			left = append(left, fmt.Sprintf("%v: %d listeners, %d ports, %d watchers", h, len(h.listeners), len(h.process.transports), len(h.process.watchers)))
		}
	}
	w.lan.mu.Unlock()
	if len(left) > 0 {
		w.violation("left behind", "%q", left)
	}
}

// checkStreams checks that what was written before a clean CloseWrite has arrived.
func (w *world) checkStreams() {
	for _, s := range w.streams {
		s.mu.Lock()
		reader := w.runs[s.to]
		if s.received > s.written {
			w.violation("bytes", "stream %d: %d written, %d read", s.index, s.written, s.received)
		}
		if s.finished && s.clean && !s.cut && !reader.stalled && s.received < s.written && (reader.ended == 0 || reader.ended > w.now()-20*time.Second) {
			w.violation("bytes", "stream %d from %v to %v: %d written and finished without an error, %d read (%v)",
				s.index, w.runs[s.from], reader, s.written, s.received, s.ended)
		}
		s.mu.Unlock()
	}
}

// kinds returns the kinds of what was wrong.
func (w *world) kinds() (ks []string) {
	for _, v := range w.violations {
		if !slices.Contains(ks, v.kind) {
			ks = append(ks, v.kind)
		}
	}
	return ks
}
