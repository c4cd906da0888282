package gossip_test

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/tcpnet/discovery"
	"example.com/tcpnet/discovery/gossip"
)

// slow is a program's delegate that takes its time over its metadata once.
type slow struct {
	own
	calls   int // until then
	begun   chan struct{}
	proceed chan struct{}
}

func (s *slow) NodeMeta(int) []byte {
	s.mu.Lock()
	s.calls--
	wait := s.calls == 0
	s.mu.Unlock()
	if wait {
		close(s.begun)
		<-s.proceed
	}
	return nil
}

// moment is enough for what is not held up.
const moment = 20 * time.Millisecond

func start(t *testing.T, d *gossip.Discoverer, id string) io.Closer {
	t.Helper()
	s, err := d.Start(t.Context(), discovery.Self{Cluster: "x", ID: id, Port: 1}, void{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// tells waits until a member tells of these nodes, as d hears it.
func tells(t *testing.T, d *gossip.Discoverer, member string, ids ...string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		got := d.Told(member)
		slices.Sort(got)
		if slices.Equal(got, ids) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s tells of %v, want %v", member, got, ids)
		}
	}
}

// A node that starts while another is being announced is announced as well, even if the
// program takes its time over the metadata of the first.
func TestNodesThatStartAtTheSameTime(t *testing.T) {
	// The first call is of Create, the second of Start itself.
	p := &slow{calls: 3, begun: make(chan struct{}), proceed: make(chan struct{})}
	cfg := config("one")
	cfg.Delegate = p
	_, d := member(t, cfg)
	start(t, d, "A")
	<-p.begun
	start(t, d, "B")
	time.Sleep(moment) // enough for the second update, if it did not wait for the first
	close(p.proceed)
	time.Sleep(moment) // and for the first to come after it
	tells(t, d, "one", "A", "B")
}

// The same, and the first node is closed again.
func TestANodeIsClosedWhileItIsAnnounced(t *testing.T) {
	p := &slow{calls: 3, begun: make(chan struct{}), proceed: make(chan struct{})}
	cfg := config("one")
	cfg.Delegate = p
	_, d := member(t, cfg)
	a := start(t, d, "A")
	<-p.begun
	closed := make(chan struct{})
	go func() {
		a.Close()
		close(closed)
	}()
	time.Sleep(moment) // as above
	close(p.proceed)
	<-closed
	if got := d.Told("one"); len(got) > 0 {
		t.Errorf("%v is told of after Close", got)
	}
}

func TestManyNodesComeAndGoAtOnce(t *testing.T) {
	_, d := member(t, config("one"))
	for range 100 {
		var all sync.WaitGroup
		sessions := make([]io.Closer, 4)
		ids := make([]string, len(sessions))
		for i := range sessions {
			ids[i] = fmt.Sprint(i)
			all.Go(func() { sessions[i] = start(t, d, ids[i]) })
		}
		all.Wait()
		tells(t, d, "one", ids...)
		for _, s := range sessions {
			all.Go(func() { s.Close() })
		}
		all.Wait()
		if got := d.Told("one"); len(got) > 0 {
			t.Fatalf("%v are told of after Close", got)
		}
	}
}

// Close returns when the other members know, so that a program may end after it. Nodes that
// are closed together do not wait for one another in turn.
func TestCloseWaitsUntilTheWithdrawalWasSent(t *testing.T) {
	one, d := member(t, config("one"))
	two, e := member(t, config("two"), one)
	var sessions []io.Closer
	var ids []string
	for i := range 6 {
		ids = append(ids, fmt.Sprint(i))
		sessions = append(sessions, start(t, d, ids[i]))
	}
	tells(t, e, "one", ids...)
	begin := time.Now()
	var all sync.WaitGroup
	for _, s := range sessions {
		all.Go(func() { s.Close() })
	}
	all.Wait()
	took := time.Since(begin)
	one.Shutdown()
	tells(t, e, "one")
	if two.NumMembers() != 2 {
		t.Error("it was not sent: only the end of the member was noticed")
	}
	if took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

// Whoever shuts the memberlist down first waits in vain, but not for long.
func TestCloseAfterTheMemberlistWasShutDown(t *testing.T) {
	one, d := member(t, config("one"))
	_, e := member(t, config("two"), one)
	s := start(t, d, "A")
	tells(t, e, "one", "A")
	one.Shutdown()
	begin := time.Now()
	s.Close()
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}
