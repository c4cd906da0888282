//go:build linux

package labtest

import (
	crand "crypto/rand"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"example.com/tcpnet/internal/lab"
	"example.com/tcpnet/internal/link"
)

// What a stranger sends to the TCP port, or does not, changes nothing for the mesh
// and for those who want to join it.
func TestStrangersAtThePort(t *testing.T) {
	s := newSiege(t, 4)
	recorded := s.record(t)
	base := s.members[0].inspect()
	for _, a := range []struct {
		name   string
		attack attack
	}{
		{"random bytes", s.many(8, func(i int) []byte {
			b := make([]byte, 1+rand.IntN(8192))
			crand.Read(b)
			return b
		})},
		{"random bytes in frames", s.many(8, func(i int) []byte {
			b := link.AppendPreface(nil, []link.Kind{link.KindLink, link.KindConn}[i%2])
			return append(b, frame(byte(rand.IntN(12)), randomBytes(rand.IntN(4096)), -1)...)
		})},
		{"truncated", s.many(8, func(i int) []byte { return recorded[:i%len(recorded)] })},
		{"oversized frames", s.many(8, func(i int) []byte {
			b := link.AppendPreface(nil, link.KindLink)
			return append(b, frame(byte(link.FrameHello), randomBytes(60000), 4097+rand.IntN(1<<24-4097))...)
		})},
		{"lying lengths", s.many(8, func(i int) []byte {
			b := append([]byte(nil), recorded...)
			// Any byte of the frame may be a length.
			b[link.PrefaceLen+1+rand.IntN(len(b)-link.PrefaceLen-1)] = byte(rand.IntN(256))
			return b
		})},
		{"a HELLO that was recorded", s.many(8, func(int) []byte { return recorded })},
		{"a HELLO that pretends to be a member that has restarted", s.many(8, func(i int) []byte {
			return s.pretend(s.members[(i+1)%len(s.members)])
		})},
		{"one byte a second", s.slow(recorded)},
		{"3000 idle connections", s.idle(3000, nil)},
		{"3000 half-open handshakes", s.idle(3000, recorded[:link.PrefaceLen+3])},
	} {
		t.Run(a.name, func(t *testing.T) {
			s.during(t, a.attack)
			s.calm(t, s.members[0], base)
		})
	}
}

// The same from the member's own host, where strangers are counted less strictly.
func TestStrangersOnLoopback(t *testing.T) {
	s := newSiege(t, 4)
	m := s.members[0]
	at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), m.port())
	base := m.inspect()
	s.during(t, func(underWay func(), stop <-chan struct{}) {
		var open []net.Conn
		for i := 0; i < 3000 && !over(stop); i++ {
			c, err := dialFrom(m.host, at, time.Second)
			if err != nil {
				continue
			}
			open = append(open, c)
			switch i % 3 {
			case 0:
				c.Write(randomBytes(100))
			case 1:
				c.Write(link.AppendPreface(nil, link.KindLink))
			}
		}
		underWay()
		<-stop
		for _, c := range open {
			c.Close()
		}
	})
	s.calm(t, m, base)
}

// many sends what make returns, over and over, from a number of callers at once,
// to all members.
func (s *siege) many(callers int, make func(i int) []byte) attack {
	return func(underWay func(), stop <-chan struct{}) {
		var all sync.WaitGroup
		for n := range callers {
			all.Go(func() {
				for i := n; !over(stop); i += callers {
					if i > 20*callers {
						underWay()
					}
					c, err := s.call(i, s.at(i/callers))
					if err != nil {
						continue
					}
					c.SetDeadline(time.Now().Add(200 * time.Millisecond))
					c.Write(make(i))
					if i%4 == 0 {
						c.(*net.TCPConn).CloseWrite()
					}
					if i%8 != 1 {
						io.Copy(io.Discard, c)
					}
					c.Close()
				}
			})
		}
		all.Wait()
	}
}

// slow calls from all addresses, and says hello at one byte a second.
func (s *siege) slow(hello []byte) attack {
	return func(underWay func(), stop <-chan struct{}) {
		var all sync.WaitGroup
		for i := range 4 * len(s.sources) {
			all.Go(func() {
				for !over(stop) {
					c, err := s.call(i, s.at(i/len(s.sources)))
					if err != nil {
						continue
					}
					for n, b := range hello {
						if n == 1 {
							underWay()
						}
						if _, err := c.Write([]byte{b}); err != nil {
							break
						}
						select {
						case <-time.After(time.Second):
						case <-stop:
						}
					}
					c.Close()
				}
			})
		}
		all.Wait()
	}
}

// idle opens a number of connections to the first member and says no more than
// first on each.
func (s *siege) idle(n int, first []byte) attack {
	return func(underWay func(), stop <-chan struct{}) {
		var mu sync.Mutex
		var open []net.Conn
		var all sync.WaitGroup
		for caller := range 16 {
			all.Go(func() {
				for i := caller; i < n && !over(stop); i += 16 {
					c, err := s.call(i, s.at(0))
					if err != nil {
						continue
					}
					c.Write(first)
					mu.Lock()
					open = append(open, c)
					mu.Unlock()
				}
			})
		}
		all.Wait()
		underWay()
		<-stop
		for _, c := range open {
			c.Close()
		}
	}
}

// record returns what a real node says first when it dials: its preface and HELLO.
// The node goes on to be a member.
func (s *siege) record(t *testing.T) []byte {
	t.Helper()
	got := make(chan []byte, 10)
	at := listenOn(t, s.stranger, ":4000", func(c net.Conn) {
		defer c.Close()
		b := make([]byte, 8192)
		c.SetDeadline(time.Now().Add(time.Second))
		n, err := io.ReadAtLeast(c, b, link.PrefaceLen+4)
		if err == nil {
			got <- b[:n]
		}
	})
	m := s.cluster.start(s.lab.Host("recorded", s.lan, lab.NoDAD), seeded(netip.AddrPortFrom(s.stranger.Addr(), at.Port()).String()))
	s.members = append(s.members, m)
	s.cluster.meshed(patience, s.members...)
	select {
	case b := <-got:
		if n := int(binary.BigEndian.Uint32(b[link.PrefaceLen:]) & 0xffffff); len(b) != link.PrefaceLen+4+n {
			t.Fatalf("recorded %d bytes of a HELLO of %d", len(b), n)
		}
		return b
	case <-time.After(patience):
		t.Fatal("the node did not dial its seed")
		return nil
	}
}

// pretend returns the HELLO of a member that has just restarted.
func (s *siege) pretend(m *member) []byte {
	h := link.Hello{
		MinVersion: link.Version, MaxVersion: link.Version, Name: s.cluster.name,
		ID: link.ID(m.id), Incarnation: link.NewIncarnation(), Label: "impostor",
		Addrs: []netip.AddrPort{netip.AddrPortFrom(s.stranger.Addr(), 4000)},
	}
	return link.AppendHello(link.AppendPreface(nil, link.KindLink), &h)
}

// frame returns a frame of a type that claims a length, or has it if that is
// negative.
func frame(t byte, payload []byte, length int) []byte {
	if length < 0 {
		length = len(payload)
	}
	return append([]byte{t, byte(length >> 16), byte(length >> 8), byte(length)}, payload...)
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	crand.Read(b)
	return b
}
