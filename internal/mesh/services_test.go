package mesh

import (
	"errors"
	"net"
	"strings"
	"testing"

	"example.com/tcpnet/internal/link"
)

func offer(p *place) *knock {
	k := &knock{}
	p.deliver(&Stream{Net: k})
	return k
}

func TestBacklogOfAService(t *testing.T) {
	var set services
	s, err := set.listen("s")
	if err != nil {
		t.Fatal(err)
	}
	var places []*place
	for range backlog {
		p, code := set.reserve("s")
		if p == nil {
			t.Fatal(code)
		}
		places = append(places, p)
	}
	full := func() bool {
		_, code := set.reserve("s")
		return code == link.CodeServiceBusy
	}
	if !full() {
		t.Error("more than the backlog")
	}
	first := offer(places[0])
	if !full() {
		t.Error("a stream that waits takes no place")
	}
	for range 2 { // a place is given back once, and not after its stream has come
		places[0].release()
		places[1].release()
	}
	if p, _ := set.reserve("s"); p == nil {
		t.Error("a place that was released is not free")
	}
	if !full() {
		t.Error("a place was given back twice")
	}
	if st, err := s.Accept(); err != nil || st.Net != net.Conn(first) {
		t.Fatal(err)
	}
	if full() {
		t.Error("a stream that was accepted takes a place")
	}
}

func TestServicesEnd(t *testing.T) {
	var set services
	a, _ := set.listen("a")
	if _, err := set.listen("a"); !errors.Is(err, ErrServiceInUse) {
		t.Errorf("a service twice: %v", err)
	}
	for _, name := range []string{"", strings.Repeat("x", link.MaxService+1), "\xc3"} {
		if _, err := set.listen(name); err == nil {
			t.Errorf("a service %q", name)
		}
	}
	if _, code := set.reserve("b"); code != link.CodeNoService {
		t.Errorf("no service: code %v", code)
	}
	waiting, _ := set.reserve("a")
	coming, _ := set.reserve("a")
	w := offer(waiting)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if a.Close() == nil {
		t.Error("closed twice")
	}
	if !w.closed {
		t.Error("a stream that waited is open")
	}
	if !offer(coming).closed {
		t.Error("a stream that came too late is open")
	}
	coming.release()
	if _, err := a.Accept(); !errors.Is(err, net.ErrClosed) || !errors.Is(err, ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	again, err := set.listen("a")
	if err != nil {
		t.Fatalf("the name is not free again: %v", err)
	}
	set.close()
	if _, err := again.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	if _, err := set.listen("c"); !errors.Is(err, ErrClosed) {
		t.Errorf("listen: %v", err)
	}
	if _, code := set.reserve("a"); code != link.CodeLeaving {
		t.Errorf("reserve: code %v", code)
	}
}
