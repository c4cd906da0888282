//go:build linux

package labtest

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/tcpnet/internal/lab"
)

// A siege is a mesh, a stranger on a host of its own that has many
// addresses, and room for a node that wants to join meanwhile.
type siege struct {
	t        *testing.T
	lab      *lab.Lab
	lan      *lab.Switch
	cluster  *cluster
	members  []*member
	stranger *lab.Host
	sources  []netip.Addr // the stranger's
	newcomer *lab.Host
	how      []func(*settings)
	within   time.Duration // a newcomer has to be connected with all
}

// newSiege returns a siege of a mesh of this size that has not begun. The members, and
// those that want to join, are as how says.
func newSiege(t *testing.T, size int, how ...func(*settings)) *siege {
	l := newLab(t)
	s := &siege{t: t, lab: l, lan: l.Switch("lan"), cluster: newCluster(t), how: how, within: 5 * time.Second}
	s.members = s.cluster.startOn(hosts(l, size, s.lan, lab.NoDAD), how...)
	s.newcomer = l.Host("newcomer", s.lan, lab.NoDAD)
	s.stranger = l.Host("stranger", s.lan, lab.NoDAD)
	s.sources = []netip.Addr{s.stranger.Addr()}
	var more []string
	for i := range 29 {
		a := netip.AddrFrom4([4]byte{10, 1, 200, byte(i + 1)})
		s.sources = append(s.sources, a)
		more = append(more, fmt.Sprintf("address add %v/16 dev eth0", a))
	}
	s.stranger.IP(more...)
	s.cluster.meshed(patience, s.members...)
	return s
}

// An attack says when it is under way, and goes on until stop is closed.
type attack func(underWay func(), stop <-chan struct{})

// during has a new node join, and leave, twice while an attack is under way.
// Nobody of the mesh may lose a connection or use up much.
func (s *siege) during(t *testing.T, a attack) {
	t.Helper()
	before := s.cluster.connections(s.members...)
	left := map[*member]int{}
	for _, m := range s.members {
		left[m] = len(m.all("left"))
	}
	base := s.members[0].inspect()
	files := s.members[0].files()

	stop := make(chan struct{})
	var attacking sync.WaitGroup
	begun := make(chan struct{})
	attacking.Go(func() { a(sync.OnceFunc(func() { close(begun) }), stop) })
	end := sync.OnceFunc(func() {
		close(stop)
		attacking.Wait()
	})
	defer end()
	<-begun
	for range 2 {
		m := s.cluster.start(s.newcomer, s.how...).ready()
		last := s.cluster.meshed(patience, append([]*member{m}, s.members...)...)
		took := last.Sub(m.all(ready)[0].Time)
		t.Logf("a new node was connected with all %v after Join", took.Round(time.Millisecond))
		if took > slowdown*s.within {
			t.Errorf("a new node was connected with all only %v after Join", took)
		}
		m.shutdown()
		for _, o := range s.members {
			s.cluster.gone(patience, o, m)
			left[o]++
		}
	}
	now := s.members[0].inspect()
	filesNow := s.members[0].files()
	end()
	unharmed(s.cluster, before, s.members...)
	for _, m := range s.members {
		if n := len(m.all("left")); n != left[m] {
			t.Errorf("%v has lost %d connections", m, n-left[m])
		}
	}
	peak := s.members[0].peak()
	t.Logf("the first node: %d goroutines and %d before, %d files and %d, heap %d kB and %d, resident at most %d kB, strangers %+v",
		now.Goroutines, base.Goroutines, filesNow, files, now.Heap>>10, base.Heap>>10, peak>>10, now.Status.Strangers)
	// 64 strangers, 16 dials of three sockets at most, and what they are
	// accompanied by.
	if now.Goroutines > base.Goroutines+300 {
		t.Errorf("%d goroutines", now.Goroutines)
	}
	if filesNow > files+200 {
		t.Errorf("%d files are open", filesNow)
	}
	if now.Heap > base.Heap+16<<20 {
		t.Errorf("the heap is %d kB, and was %d kB before", now.Heap>>10, base.Heap>>10)
	}
	if limit := 64 << 20; peak > limit && !raceEnabled {
		t.Errorf("up to %d kB were resident", peak>>10)
	}
}

// calm waits until the node has no strangers any more, and checks that nothing is
// left of them.
func (s *siege) calm(t *testing.T, m *member, base event) {
	t.Helper()
	var now event
	eventually(t, "strangers are gone", func() error {
		now = m.inspect()
		if now.Status.Pending > 0 || now.Goroutines > base.Goroutines+10 {
			return fmt.Errorf("%d strangers, %d goroutines; %d before", now.Status.Pending, now.Goroutines, base.Goroutines)
		}
		return nil
	})
}

// peak returns the most bytes of memory that the process had resident.
func (m *member) peak() int {
	m.cluster.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.process.Cmd.Process.Pid))
	if err != nil {
		m.cluster.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); f[0] == "VmHWM:" {
			kB, err := strconv.Atoi(f[1])
			if err != nil {
				m.cluster.t.Fatal(err)
			}
			return kB << 10
		}
	}
	return 0
}

// call connects from one of the stranger's addresses, another one every time.
func (s *siege) call(i int, to netip.AddrPort) (c net.Conn, err error) {
	err = s.stranger.Do(func() error {
		d := net.Dialer{Timeout: time.Second, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(s.sources[i%len(s.sources)], 0))}
		c, err = d.Dial("tcp4", to.String())
		return err
	})
	return c, err
}

// at returns where the stranger finds a member.
func (s *siege) at(i int) netip.AddrPort {
	m := s.members[i%len(s.members)]
	return netip.AddrPortFrom(m.host.Addr(), m.port())
}

func over(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}
