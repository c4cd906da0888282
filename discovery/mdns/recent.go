package mdns

import (
	"sync"
	"time"
)

const (
	// repeatAge is how long a response is known again: it is sent over both
	// families of an interface, and announced several times (RFC 6762, 8.3).
	// Lives of records are far longer, so that what it would have refreshed
	// does not expire.
	repeatAge = 10 * time.Second
	// echoAge is how long our own packets are known again.
	echoAge = 500 * time.Millisecond
	// maxRecent bounds the packets that are known again.
	maxRecent = 512
)

// recent knows packets again that bring nothing new, before they cost anything. Its
// methods are safe for concurrent use. The zero value knows none.
type recent struct {
	mu   sync.Mutex // guards seen
	seen map[recentKey]recentPacket
}

type recentKey struct {
	payload uint64
	index   int
}

type recentPacket struct {
	until time.Time
	own   bool
}

// again reports whether a packet can be passed over: it is one of our own, or a
// response that was heard a moment ago.
func (r *recent) again(now time.Time, p Packet) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.seen) == 0 {
		return false
	}
	s, ok := r.seen[recentKey{payloadHash(p.Data), p.Index}]
	return ok && now.Before(s.until)
}

// heard makes a response known.
func (r *recent) heard(now time.Time, p Packet) {
	r.put(now, recentKey{payloadHash(p.Data), p.Index}, recentPacket{now.Add(repeatAge), false})
}

// sent makes one of our own packets known, which comes back to us.
func (r *recent) sent(now time.Time, payload []byte, index int) {
	r.put(now, recentKey{payloadHash(payload), index}, recentPacket{now.Add(echoAge), true})
}

func (r *recent) put(now time.Time, key recentKey, p recentPacket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil {
		r.seen = make(map[recentKey]recentPacket)
	}
	if len(r.seen) >= maxRecent {
		for k, s := range r.seen {
			if !now.Before(s.until) {
				delete(r.seen, k)
			}
		}
		if len(r.seen) >= maxRecent {
			clear(r.seen)
		}
	}
	r.seen[key] = p
}

// clear makes the packets of others unknown again, because they may mean something
// new.
func (r *recent) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, s := range r.seen {
		if !s.own {
			delete(r.seen, k)
		}
	}
}
