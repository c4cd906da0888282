package mesh

import (
	"net/netip"
	"sync"
	"time"
)

// How many TLS handshakes a source may begin that come to nothing (PROTOCOL.md
// section 13.5): they cost more to answer than to begin.
const (
	tollBurst   = 32
	tollEvery   = 100 * time.Millisecond
	maxTollFrom = 4096 // sources remembered
)

// toll limits the handshakes of strangers. The zero value has met nobody.
type toll struct {
	mu   sync.Mutex // guards what follows
	from map[netip.Prefix]allowed
}

// take reports whether a source may begin a handshake now.
func (t *toll) take(from netip.Prefix, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	b, known := t.from[from]
	if !known && len(t.from) >= maxTollFrom {
		for f, b := range t.from {
			if float64(now.Sub(b.at)) >= b.used*float64(tollEvery) {
				delete(t.from, f)
			}
		}
		if len(t.from) >= maxTollFrom {
			return false
		}
	}
	b.used = max(b.used-float64(now.Sub(b.at))/float64(tollEvery), 0)
	b.at = now
	ok := b.used+1 <= tollBurst
	if ok {
		b.used++
	}
	if t.from == nil {
		t.from = make(map[netip.Prefix]allowed)
	}
	t.from[from] = b
	return ok
}

// refund takes back what a handshake that came to something has cost.
func (t *toll) refund(from netip.Prefix) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b, ok := t.from[from]; ok {
		b.used = max(b.used-1, 0)
		t.from[from] = b
	}
}
