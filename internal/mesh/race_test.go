package mesh

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// track is a race course: it says what happens at each address, and takes note of
// when attempts begin.
type track struct {
	mu        sync.Mutex
	begun     []string // address@milliseconds
	cancelled int
}

// what happens at an address.
type fate struct {
	after     time.Duration
	err       error         // nil: it wins
	connected time.Duration // established before that, if not zero
}

var forever = fate{after: time.Hour}

// run makes a race and returns how long it took.
func (c *track) run(room int32, addrs []string, fates map[string]fate) (time.Duration, error) {
	var list []netip.AddrPort
	for _, a := range addrs {
		list = append(list, netip.AddrPortFrom(ip("10.0.0."+a), 80))
	}
	var free atomic.Int32
	free.Store(room)
	begin := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), dialTime)
	defer cancel()
	err := race(ctx, list, &free, func(ctx context.Context, a netip.AddrPort, r *contest) error {
		name := a.Addr().String()[len("10.0.0."):]
		c.mu.Lock()
		c.begun = append(c.begun, fmt.Sprintf("%s@%d", name, time.Since(begin).Milliseconds()))
		c.mu.Unlock()
		f := fates[name]
		if f.connected > 0 {
			time.Sleep(f.connected)
			r.established()
			f.after -= f.connected
		}
		select {
		case <-time.After(f.after):
		case <-ctx.Done():
			c.mu.Lock()
			c.cancelled++
			c.mu.Unlock()
			return ctx.Err()
		}
		if f.err == nil && !r.win(ctx) {
			return context.Canceled
		}
		return f.err
	})
	if free.Load() != room {
		err = errors.Join(err, errors.New("the room was not given back"))
	}
	return time.Since(begin), err
}

func TestRace(t *testing.T) {
	refused, ms := syscall.ECONNREFUSED, time.Millisecond
	for name, tt := range map[string]struct {
		addrs string
		room  int32
		fates map[string]fate
		begun []string
		takes time.Duration
		err   error
	}{
		"the first answers":              {"12", 9, map[string]fate{"1": {after: 5 * ms}}, []string{"1@0"}, 5 * ms, nil},
		"the first takes its time":       {"12", 9, map[string]fate{"1": forever, "2": {after: 5 * ms}}, []string{"1@0", "2@100"}, 105 * ms, nil},
		"the first refuses":              {"12", 9, map[string]fate{"1": {5 * ms, refused, 0}, "2": {after: 5 * ms}}, []string{"1@0", "2@5"}, 10 * ms, nil},
		"all refuse":                     {"12", 9, map[string]fate{"1": {5 * ms, refused, 0}, "2": {5 * ms, refused, 0}}, []string{"1@0", "2@5"}, 10 * ms, refused},
		"the slower one was first":       {"12", 9, map[string]fate{"1": {after: 150 * ms}, "2": {after: 90 * ms}}, []string{"1@0", "2@100"}, 150 * ms, nil},
		"one that hangs up":              {"1", 9, map[string]fate{"1": {5 * ms, syscall.ECONNRESET, ms}}, []string{"1@0"}, 5 * ms, syscall.ECONNRESET},
		"a lost SYN":                     {"1", 9, map[string]fate{"1": forever}, []string{"1@0", "1@250", "1@750"}, dialTime, context.DeadlineExceeded},
		"no room for second sockets":     {"1", 0, map[string]fate{"1": forever}, []string{"1@0"}, dialTime, context.DeadlineExceeded},
		"two, both lost":                 {"12", 9, map[string]fate{"1": forever, "2": forever}, []string{"1@0", "2@100", "1@350", "2@600", "1@1100", "2@1600"}, dialTime, context.DeadlineExceeded},
		"an established one gets a time": {"12", 9, map[string]fate{"1": {2 * time.Second, nil, 50 * ms}, "2": forever}, []string{"1@0", "2@1050", "1@1300"}, 2 * time.Second, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c track
				var addrs []string
				for _, a := range tt.addrs {
					addrs = append(addrs, string(a))
				}
				took, err := c.run(tt.room, addrs, tt.fates)
				if !errors.Is(err, tt.err) || took != tt.takes {
					t.Errorf("%v after %v, want %v after %v", err, took, tt.err, tt.takes)
				}
				if !slices.Equal(c.begun, tt.begun) {
					t.Errorf("attempts %v, want %v", c.begun, tt.begun)
				}
			})
		})
	}
}

func TestRaceWithoutAddresses(t *testing.T) {
	if _, err := new(track).run(9, nil, nil); !errors.Is(err, errNoAddress) {
		t.Error(err)
	}
}
