//go:build linux

package labtest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/tcpnet/internal/lab"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// A forger sends whatever it likes from the stranger's port 5353 to the group of
// mDNS.
type forger struct {
	t       *testing.T
	conn    *ipv4.PacketConn
	service string
	sent    int
}

var mdnsGroup = &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353}

func (s *siege) forger(t *testing.T) *forger {
	t.Helper()
	f := &forger{t: t, service: "_" + s.cluster.name + "._tcp.local."}
	err := s.stranger.Do(func() error {
		lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
		}}
		c, err := lc.ListenPacket(context.Background(), "udp4", "0.0.0.0:5353")
		if err != nil {
			return err
		}
		eth0, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		f.conn = ipv4.NewPacketConn(c)
		if err := f.conn.SetMulticastInterface(eth0); err != nil {
			return err
		}
		return f.conn.SetMulticastTTL(255)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.conn.Close() })
	return f
}

func (f *forger) send(b []byte) {
	f.conn.WriteTo(b, nil, mdnsGroup)
	f.sent++
}

// A forgery is an instance as it is announced.
type forgery struct {
	id   string
	addr netip.Addr
	port uint16
	ttl  uint32
}

// announce packs instances into one packet.
func (f *forger) announce(fs ...forgery) []byte {
	const flush = dnsmessage.ClassINET | 1<<15
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{Response: true, Authoritative: true})
	b.EnableCompression()
	b.StartAnswers()
	service := dnsmessage.MustNewName(f.service)
	for _, x := range fs {
		name := dnsmessage.MustNewName(x.id + "." + f.service)
		host := dnsmessage.MustNewName("forged-" + x.id + ".local.")
		b.PTRResource(dnsmessage.ResourceHeader{Name: service, Class: dnsmessage.ClassINET, TTL: x.ttl}, dnsmessage.PTRResource{PTR: name})
		b.SRVResource(dnsmessage.ResourceHeader{Name: name, Class: flush, TTL: x.ttl}, dnsmessage.SRVResource{Port: x.port, Target: host})
		b.TXTResource(dnsmessage.ResourceHeader{Name: name, Class: flush, TTL: x.ttl}, dnsmessage.TXTResource{TXT: []string{"v=1"}})
		b.AResource(dnsmessage.ResourceHeader{Name: host, Class: flush, TTL: x.ttl}, dnsmessage.AResource{A: x.addr.As4()})
	}
	out, err := b.Finish()
	if err != nil {
		f.t.Error(err)
	}
	return out
}

// repeat sends what make returns, one packet a millisecond, as far as the nodes are
// not slowed down.
func (f *forger) repeat(make func(i int) []byte) attack {
	return func(underWay func(), stop <-chan struct{}) {
		tick := time.NewTicker(slowdown * time.Millisecond)
		defer tick.Stop()
		for i := 0; !over(stop); i++ {
			if i == 1000/slowdown {
				underWay()
			}
			f.send(make(i))
			<-tick.C
		}
	}
}

func randomID() string { return fmt.Sprintf("%016X%016X", rand.Uint64(), rand.Uint64()) }

// What a stranger sends by mDNS changes nothing for the mesh and for those who
// want to join it.
func TestForgedMulticastDNS(t *testing.T) {
	s := newSiege(t, 4)
	f := s.forger(t)
	nowhere := forgery{"ABCDEF", s.stranger.Addr(), 9, 120}
	valid := f.announce(nowhere, forgery{"ABCDEE", s.stranger.Addr(), 9, 120})
	for _, a := range []struct {
		name   string
		attack attack
	}{
		{"random bytes", f.repeat(func(int) []byte { return randomBytes(rand.IntN(1473)) })},
		{"random changes to a valid packet", f.repeat(func(int) []byte {
			b := append([]byte(nil), valid...)
			for range 1 + rand.IntN(4) {
				b[rand.IntN(len(b))] = byte(rand.IntN(256))
			}
			return b
		})},
		{"truncated", f.repeat(func(i int) []byte { return valid[:i%len(valid)] })},
		{"lying counts", f.repeat(func(i int) []byte {
			b := append([]byte(nil), valid...)
			binary.BigEndian.PutUint16(b[4+2*(i%4):], 0xffff)
			return b
		})},
		{"pointer loops", f.repeat(func(i int) []byte { return loops(f.service, i) })},
		{"jumbo packets", f.repeat(func(i int) []byte {
			var fs []forgery
			for range 60 {
				fs = append(fs, forgery{randomID(), s.stranger.Addr(), 9, 120})
			}
			return f.announce(fs...)
		})},
		{"goodbye for everybody", f.goodbyes(s)},
		{"members at the stranger's address", f.membersAtStranger(s)},
		{"questions", f.repeat(func(i int) []byte {
			b := dnsmessage.NewBuilder(nil, dnsmessage.Header{Truncated: i%2 == 0})
			b.StartQuestions()
			for range 40 {
				b.Question(dnsmessage.Question{
					Name: dnsmessage.MustNewName(f.service), Type: []dnsmessage.Type{dnsmessage.TypePTR, dnsmessage.TypeALL}[rand.IntN(2)],
					Class: dnsmessage.ClassINET | dnsmessage.Class(rand.IntN(2))<<15,
				})
			}
			out, _ := b.Finish()
			return out
		})},
	} {
		t.Run(a.name, func(t *testing.T) { s.during(t, a.attack) })
	}
}

// loops returns packets whose names point to themselves, to one another, forward,
// and outside.
func loops(service string, i int) []byte {
	header := []byte{0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0}
	fixed := []byte{0, 12, 0, 1, 0, 0, 0, 120} // PTR IN 120
	switch i % 4 {
	case 0: // to itself
		return append(append(header, 0xc0, 12), append(fixed, 0, 2, 0xc0, 12)...)
	case 1: // to one another
		return append(append(header, 1, 'a', 0xc0, 16, 1, 'b', 0xc0, 12), append(fixed, 0, 2, 0xc0, 12)...)
	case 2: // outside
		return append(append(header, 0xff, 0xff), append(fixed, 0, 2, 0xff, 0xfe)...)
	default: // a proper owner, whose target points to itself
		q := dnsmessage.NewBuilder(nil, dnsmessage.Header{Response: true})
		q.StartAnswers()
		q.PTRResource(dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(service), Class: dnsmessage.ClassINET, TTL: 120},
			dnsmessage.PTRResource{PTR: dnsmessage.MustNewName("a.")})
		b, _ := q.Finish()
		at := len(b) - 3
		return append(b[:at-2], 0, 2, 0xc0, byte(at))
	}
}

// Names of nodes that do not exist, by the hundred thousand, as quickly as they can
// be sent.
func TestInventedNames(t *testing.T) {
	s := newSiege(t, 4)
	f := s.forger(t)
	names := 100_000 / slowdown
	if *long {
		names = 1_000_000
	}
	const each = 10
	s.during(t, func(underWay func(), stop <-chan struct{}) {
		begin := time.Now()
		for i := 0; i < names; i += each {
			var fs []forgery
			for range each {
				fs = append(fs, forgery{randomID(), s.sources[rand.IntN(len(s.sources))], uint16(1 + rand.IntN(60000)), 4500})
			}
			f.send(f.announce(fs...))
			if i == 20*each {
				underWay()
			}
		}
		t.Logf("%d names in %v", names, time.Since(begin).Round(time.Millisecond))
		f.repeat(func(int) []byte { return f.announce(forgery{randomID(), s.stranger.Addr(), 9, 4500}) })(func() {}, stop)
	})
	st := s.members[0].inspect().Status
	if n := len(st.Candidates); n > 1024 {
		t.Errorf("%d candidates", n)
	}
	// Afterwards, too.
	m := s.cluster.start(s.newcomer)
	s.cluster.meshed(patience, append([]*member{m}, s.members...)...)
}

// An address that is not of the link is never dialled, whoever tells of it: else
// one packet would turn all nodes against somebody else's machine.
func TestThirdPartiesAreNotDialled(t *testing.T) {
	s := newSiege(t, 4)
	router := s.lab.Host("router", s.lan, s.lab.Switch("elsewhere"), lab.NoDAD, lab.Router)
	router.Gateway(s.lab.Hosts()[:4]...)
	outside := netip.MustParsePrefix("192.0.2.0/24")
	seen := s.lan.Capture(func(b []byte) bool {
		return isTCP(b) && b[14]>>4 == 4 && outside.Contains(netip.AddrFrom4([4]byte(b[14+16:])))
	})
	// The capture would see it.
	eventually(t, "the capture sees what goes to 192.0.2.99", func() error {
		s.members[0].host.Do(func() error {
			net.DialTimeout("tcp4", "192.0.2.99:80", 100*time.Millisecond)
			return nil
		})
		if len(seen.Frames()) == 0 {
			return errors.New("nothing was seen")
		}
		return nil
	})
	before := len(seen.Frames())

	f := s.forger(t)
	s.during(t, f.repeat(func(i int) []byte {
		return f.announce(forgery{randomID(), netip.AddrFrom4([4]byte{192, 0, 2, byte(i % 90)}), 80, 120})
	}))
	frames, _ := seen.Stop()
	for _, b := range frames[before:] {
		if to := netip.AddrFrom4([4]byte(b.Data[14+16:])); to != netip.MustParseAddr("192.0.2.99") {
			t.Errorf("%v was dialled", to)
			break
		}
	}
}

// A machine of the link that is no node is not overrun by dials, however many
// nodes are said to be there.
func TestNeighboursAreNotOverrun(t *testing.T) {
	s := newSiege(t, 4)
	printer := s.lab.Host("printer", s.lan, lab.NoDAD)
	var calls atomic.Int64
	at := listenOn(t, printer, ":9100", func(c net.Conn) {
		calls.Add(1)
		io.Copy(io.Discard, c)
		c.Close()
	})
	f := s.forger(t)
	var begin time.Time
	var once sync.Once
	s.during(t, func(underWay func(), stop <-chan struct{}) {
		f.repeat(func(i int) []byte {
			once.Do(func() { begin = time.Now() })
			return f.announce(forgery{randomID(), printer.Addr(), at.Port(), 120})
		})(underWay, stop)
	})
	took := time.Since(begin).Seconds()
	perSecond := float64(calls.Load()) / took / float64(len(s.members))
	t.Logf("%d instances told of, %d connections, %.1f a second from each node", f.sent, calls.Load(), perSecond)
	if perSecond > 20 {
		t.Errorf("each node has connected %.1f times a second", perSecond)
	}
}

// A machine of the link that refuses is not overrun by dials either, however many
// nodes are said to be there: one dial a second from each node.
func TestARefusingNeighbourIsNotOverrun(t *testing.T) {
	s := newSiege(t, 4)
	printer := s.lab.Host("printer", s.lan, lab.NoDAD)
	f := s.forger(t)
	syn := s.lan.Capture(func(b []byte) bool {
		return isTCP(b) && b[14]>>4 == 4 && netip.AddrFrom4([4]byte(b[14+16:])) == printer.Addr() && b[14+20+13]&2 != 0
	})
	s.during(t, f.repeat(func(int) []byte { return f.announce(forgery{randomID(), printer.Addr(), 9, 120}) }))
	before, begin := len(syn.Frames()), time.Now()
	time.Sleep(3 * time.Second)
	perSecond := float64(len(syn.Frames())-before) / time.Since(begin).Seconds() / float64(len(s.members))
	t.Logf("%.1f SYN a second from each node", perSecond)
	if perSecond > 20 {
		t.Errorf("%.1f SYN a second from each node", perSecond)
	}
}

// goodbyes says goodbye in the name of every member.
func (f *forger) goodbyes(s *siege) attack {
	return f.repeat(func(i int) []byte {
		m := s.members[i%len(s.members)]
		return f.announce(forgery{string(m.id), m.host.Addr(), m.port(), 0})
	})
}

// membersAtStranger announces every member at the stranger's address.
func (f *forger) membersAtStranger(s *siege) attack {
	return f.repeat(func(i int) []byte {
		m := s.members[i%len(s.members)]
		return f.announce(forgery{string(m.id), s.stranger.Addr(), 9, 120})
	})
}
