package mesh

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// pressure is how long a stranger may take when others wait for its place. Where
// many nodes start at once on a few processors, honest ones take their time too.
const pressure = 2 * time.Second

// gate bounds how many strangers are served at once (PROTOCOL.md section 10).
type gate struct {
	most    int
	perAddr int

	mu     sync.Mutex // guards what follows
	free   *sync.Cond // a place has become free, or the oldest has had its time
	inside []*stranger
	count  map[netip.Prefix]int
	closed bool
}

// stranger is a socket that nothing is known of yet.
type stranger struct {
	conn    net.Conn
	source  netip.Prefix
	since   time.Time
	timer   *time.Timer // wakes whoever waits for its place
	evicted bool
}

func newGate(most, perAddr int) *gate {
	g := &gate{most: most, perAddr: perAddr, count: make(map[netip.Prefix]int)}
	g.free = sync.NewCond(&g.mu)
	return g
}

// source returns what counts as one source: the address, or the /64 of a global
// IPv6 address, of which anyone can have as many as they like.
func source(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() && !a.IsLinkLocalUnicast() && !a.IsLoopback() {
		bits = 64
	}
	p, _ := a.WithZone("").Prefix(bits)
	return p
}

// enter gives conn a place, and reports false if its source has too many, of which
// extra are allowed beyond the usual. If all places are taken it waits until one
// is free or the oldest of the others has had its time. The place is given back
// by leave, which may be called more than once; it reports false if conn was closed
// to make room.
func (g *gate) enter(conn net.Conn, from netip.Addr, local bool, extra int) (leave func() bool, ok bool) {
	s := &stranger{conn: conn, source: source(from)}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !local && g.count[s.source] >= g.perAddr+extra {
		return nil, false
	}
	for len(g.inside) >= g.most && !g.closed {
		oldest := g.inside[0]
		if wait := pressure - time.Since(oldest.since); wait <= 0 {
			oldest.evicted = true
			oldest.conn.Close()
			g.remove(oldest)
		} else {
			if oldest.timer == nil {
				oldest.timer = time.AfterFunc(wait, g.free.Broadcast)
			}
			g.free.Wait()
		}
	}
	if g.closed {
		return nil, false
	}
	s.since = time.Now()
	g.inside = append(g.inside, s)
	g.count[s.source]++
	return func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.remove(s)
		return !s.evicted
	}, true
}

// remove takes s out, if it is still in. It is called with mu held.
func (g *gate) remove(s *stranger) {
	for i, t := range g.inside {
		if t == s {
			g.inside = append(g.inside[:i], g.inside[i+1:]...)
			if g.count[s.source]--; g.count[s.source] == 0 {
				delete(g.count, s.source)
			}
			if s.timer != nil {
				s.timer.Stop()
			}
			g.free.Broadcast()
			return
		}
	}
}

// pending returns how many are inside.
func (g *gate) pending() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.inside)
}

// close closes the sockets of all who are inside and lets nobody wait any longer.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for _, s := range g.inside {
		s.conn.Close()
		if s.timer != nil {
			s.timer.Stop()
		}
	}
	g.free.Broadcast()
}
