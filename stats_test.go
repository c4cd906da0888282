package tcpnet_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"example.com/tcpnet"
)

func TestStats(t *testing.T) {
	name := cluster()
	keepAway := func(_ context.Context, p tcpnet.PeerInfo) error {
		if p.Label == "bad" {
			return errors.New("no bad ones")
		}
		return nil
	}
	a := join(t, tcpnet.Config{Name: name, Admit: keepAway, Queue: tcpnet.Queue{Size: 1000}})
	ea := events(t, a)
	b := join(t, tcpnet.Config{Name: name})
	ca, cb := accept(t, a), accept(t, b)
	join(t, tcpnet.Config{Name: name, Label: "bad"})
	await[tcpnet.Rejected](t, ea)

	ca.Send(make([]byte, 100))
	ca.Send(make([]byte, 1000)) // never fits
	ca.Write(make([]byte, 10))
	if _, err := io.ReadFull(cb, make([]byte, 110)); err != nil {
		t.Fatal(err)
	}
	io.WriteString(cb, "answer")
	io.ReadFull(ca, make([]byte, 6))
	check := func(when string) {
		t.Helper()
		s := a.Stats()
		if s.BytesRead != 6 || s.BytesWritten != 110 {
			t.Errorf("%s: read %d, written %d", when, s.BytesRead, s.BytesWritten)
		}
		if want := (tcpnet.SendStatus{Sent: 1, SentBytes: 100, Dropped: 1, DroppedBytes: 1000}); s.Send != want {
			t.Errorf("%s: %+v", when, s.Send)
		}
		if s.Rejected["not_admitted"] == 0 || s.MDNS == nil || s.MDNS.Announcements.Packets == 0 {
			t.Errorf("%s: %+v", when, s)
		}
	}
	check("while connected")
	if s, o := a.Stats(), b.Stats(); s.Connected != 1 || s.Joined != 1 || s.Dials+o.Dials == 0 || sum(s.RTT)+sum(o.RTT)+sum(s.Handshakes)+sum(o.Handshakes) == 0 {
		t.Errorf("%+v\n%+v", s, o)
	}
	b.Close()
	await[tcpnet.Left](t, ea)
	ca.Close()
	check("after the end")
	if s := a.Stats(); s.Connected != 0 || s.Left["left"] != 1 {
		t.Errorf("%+v", s)
	}
	text, err := json.Marshal(a.Stats())
	if err != nil || !strings.Contains(string(text), `"not_admitted":`) {
		t.Errorf("%s, %v", text, err)
	}
}

func sum(h tcpnet.Histogram) (n uint64) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}
