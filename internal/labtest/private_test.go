//go:build linux

package labtest

import (
	"crypto/ed25519"
	crand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/internal/lab"
)

// What a stranger does at the ports of a private mesh of ten changes nothing for it, and
// a new member is in within a second.
func TestStrangersAtThePortOfAPrivateMesh(t *testing.T) {
	s := newSiege(t, 10, private())
	s.within = time.Second
	config := strangersConfig(t)
	hello := s.clientHello(t, config)
	base := s.members[0].inspect()
	for _, a := range []struct {
		name   string
		attack attack
	}{
		{"random bytes", s.many(8, func(int) []byte { return randomBytes(1 + len(hello)) })},
		{"plain HELLOs that pretend to be a member", s.many(8, func(i int) []byte {
			return s.pretend(s.members[(i+1)%len(s.members)])
		})},
		{"a recorded ClientHello", s.many(8, func(int) []byte { return hello })},
		{"lying lengths in TLS", s.many(8, func(i int) []byte {
			b := append([]byte(nil), hello...)
			b[[]int{3, 4, 6, 7, 8, 43}[i%6]] = byte(i)
			return b
		})},
		{"handshakes without the secret", s.handshakes(16, config)},
		{"3000 half-open handshakes", s.idle(3000, hello[:len(hello)/2])},
		{"3000 handshakes that wait for the proof", s.idle(3000, hello)},
		{"one byte a second", s.slow(hello)},
	} {
		t.Run(a.name, func(t *testing.T) {
			s.during(t, a.attack)
			s.calm(t, s.members[0], base)
		})
	}
	for _, m := range s.members {
		if st := m.inspect().Status; st.Strangers.NoSecret == 0 || st.Strangers.Mixed == 0 {
			t.Errorf("%v has counted %+v", m, st.Strangers)
		}
	}
}

// Lies by mDNS are worth no more where a cluster is private.
func TestForgedMulticastDNSAndAPrivateMesh(t *testing.T) {
	s := newSiege(t, 10, private())
	s.within = time.Second
	f := s.forger(t)
	for _, a := range []struct {
		name   string
		attack attack
	}{
		{"a million names", f.repeat(func(int) []byte {
			var fs []forgery
			for range 8 {
				fs = append(fs, forgery{randomID(), s.stranger.Addr(), 9, 120})
			}
			return f.announce(fs...)
		})},
		{"goodbye for everybody", f.goodbyes(s)},
		{"members at the stranger's address", f.membersAtStranger(s)},
	} {
		t.Run(a.name, func(t *testing.T) { s.during(t, a.attack) })
	}
}

// An open node among private ones, and one with another secret, are told so and stay
// alone, over IPv4 and over IPv6.
func TestOpenAndPrivateHostsDoNotMix(t *testing.T) {
	l := newLab(t)
	lan := l.Switch("lan")
	for _, v6 := range []bool{false, true} {
		opts := []lab.Option{lan, lab.NoDAD}
		name := "v4"
		if v6 {
			opts, name = append(opts, lab.NoIPv4), "v6"
		}
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			how := private()
			var in []*member
			for i := range 2 {
				in = append(in, c.start(l.Host(fmt.Sprintf("%s-in%d", name, i), opts...), how))
			}
			c.meshed(patience, in...)
			open := c.start(l.Host(name+"-open", opts...)).ready()
			other := c.start(l.Host(name+"-other", opts...), private()).ready()
			c.await(patience, func() error { return open.has(rejected, "private") })
			c.await(patience, func() error { return other.has(rejected, "no secret") })
			c.await(patience, func() error { return other.has(rejected, "open") })
			for _, m := range in {
				c.await(patience, func() error { return m.has(rejected, "open") })
				c.await(patience, func() error { return m.has(rejected, "no secret") })
			}
			for _, m := range []*member{open, other} {
				m.status(func(s *tcpnet.Status) error {
					if len(s.Peers) > 0 {
						return fmt.Errorf("it has peers: %+v", s.Peers)
					}
					return nil
				})
			}
		})
	}
}

// strangersConfig returns all that TLS needs, but no secret.
func strangersConfig(t *testing.T) *tls.Config {
	t.Helper()
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(crand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{
		InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, NextProtos: []string{"tcpnet/1"},
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	}
}

// clientHello returns what a node says first to the stranger's own port.
func (s *siege) clientHello(t *testing.T, config *tls.Config) []byte {
	t.Helper()
	c, err := s.call(0, s.at(0))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := &recorder{Conn: c}
	r.SetDeadline(time.Now().Add(patience))
	if err := tls.Client(r, config).Handshake(); err != nil {
		t.Fatal(err)
	}
	if len(r.first) < 1000 || r.first[0] != 0x16 {
		t.Fatalf("a ClientHello of %d bytes", len(r.first))
	}
	return r.first
}

// handshakes goes through whole TLS handshakes, over and over, and then guesses the
// proof.
func (s *siege) handshakes(callers int, config *tls.Config) attack {
	return func(underWay func(), stop <-chan struct{}) {
		var all sync.WaitGroup
		for n := range callers {
			all.Go(func() {
				for i := n; !over(stop); i += callers {
					if i > 20*callers {
						underWay()
					}
					raw, err := s.call(i, s.at(i/callers))
					if err != nil {
						continue
					}
					raw.SetDeadline(time.Now().Add(time.Second))
					c := tls.Client(raw, config)
					c.Write(randomBytes(256))
					io.Copy(io.Discard, c)
					raw.Close()
				}
			})
		}
		all.Wait()
	}
}

// recorder keeps what is written first.
type recorder struct {
	net.Conn
	first []byte
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.first == nil {
		r.first = append([]byte(nil), b...)
	}
	return r.Conn.Write(b)
}
