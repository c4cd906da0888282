package tcpnet_test

import (
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/tcpnettest"
)

// In virtual time, what a peer that hangs costs the others can be told to the
// microsecond: nothing.
func TestOthersDoNotFeelAPeerThatHangs(t *testing.T) {
	tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
		const size, messages = 4096, 8000 // one each millisecond
		hosts := lan.Hosts(4)
		var mu sync.Mutex // guards what follows
		sent := make(map[uint32]time.Time)
		slowest := make(map[string]time.Duration)
		heard := make(map[string]int)
		a := hosts[0].Join(tcpnet.Config{Queue: tcpnet.Queue{Size: 64 << 10}})
		for _, h := range hosts[1:] {
			h.Join(tcpnet.Config{Handler: func(c *tcpnet.Conn) {
				for c.Peer().ID == a.ID() {
					_, number, err := readRecord(c)
					if err != nil {
						return
					}
					mu.Lock()
					heard[h.Name()]++
					slowest[h.Name()] = max(slowest[h.Name()], time.Since(sent[number]))
					mu.Unlock()
				}
			}})
		}
		wait(t, a, 3)
		i := slices.IndexFunc(a.Connections(), func(c *tcpnet.Conn) bool { return c.Peer().Addr.Addr() == hosts[3].Addr() })
		hung := a.Connections()[i]
		es := events(t, a)
		var before map[string]time.Duration
		for i := range uint32(messages) {
			if i == messages/2 {
				mu.Lock()
				before = maps.Clone(slowest)
				mu.Unlock()
				hosts[3].Freeze()
			}
			mu.Lock()
			sent[i] = time.Now()
			mu.Unlock()
			a.Broadcast(record('b', i, size))
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		mu.Lock()
		for _, h := range hosts[1:3] {
			if n := heard[h.Name()]; n != messages {
				t.Errorf("%s has heard %d messages of %d", h, n, messages)
			}
			if d := slowest[h.Name()]; d > before[h.Name()] {
				t.Errorf("%s: messages took %v at most before the other hung, and %v then", h, before[h.Name()], d)
			}
		}
		mu.Unlock()
		var status tcpnet.SendStatus
		for _, p := range a.Status().Peers {
			if p.ID == hung.Peer().ID {
				status = p.Send
			}
		}
		told, events := uint64(0), 0
		for told < status.Dropped {
			e := await[tcpnet.Dropped](t, es)
			if e.Conn != hung {
				t.Errorf("dropped for %v", e.Conn)
			}
			told += e.Messages
			events++
		}
		if status.Dropped < messages/4 || events > messages/2/1000+2 || told != status.Dropped {
			t.Errorf("%d messages were dropped, %d told of in %d events", status.Dropped, told, events)
		}
		// It gets what was kept for it, whole.
		hosts[3].Thaw()
		time.Sleep(2 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		if n := uint64(heard[hosts[3].Name()]); n+status.Dropped != messages {
			t.Errorf("the one that hung has heard %d messages, and %d were dropped, of %d", n, status.Dropped, messages)
		}
	})
}
