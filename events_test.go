package tcpnet

import "testing"

func TestSlowReaderOfEventsIsTold(t *testing.T) {
	s := &subscription{more: make(chan struct{}, 1)}
	for range maxEvents + 5 {
		s.put(NetworkChanged{})
	}
	if e, _ := s.take(); e != (NetworkChanged{}) {
		t.Fatalf("first: %#v", e)
	}
	s.put(NetworkChanged{}) // there is room again: the gap is told before it
	var got []Event
	for e, _ := s.take(); e != nil; e, _ = s.take() {
		got = append(got, e)
	}
	if n := len(got); n != maxEvents+1 || got[n-2] != (Lagged{5}) {
		t.Errorf("%d events, the gap where %#v is", n, got[n-2])
	}
	s.end()
	if _, ended := s.take(); !ended {
		t.Error("does not end")
	}
}
