package secure

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"
)

// stranger returns what somebody without the secret can have: a good key, and TLS that
// does as nodes do.
func stranger(t testing.TB) (client, server *tls.Config) {
	t.Helper()
	c, err := makeConfigs()
	if err != nil {
		t.Fatal(err)
	}
	return c.client, c.server
}

// What a stranger that calls a node sees is a certificate with a key and nothing else,
// and one byte that says no.
func TestAStrangerLearnsNothing(t *testing.T) {
	d, a := sockets(t)
	g := guard(t, Options{Name: "the-name", ID: "ABCDEF"})
	done := make(chan outcome)
	go func() { done <- server(g, a) }()
	config, _ := stranger(t)
	c := tls.Client(d, config)
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	cert := c.ConnectionState().PeerCertificates[0]
	if cert.Subject.String()+cert.Issuer.String() != "" || len(cert.DNSNames)+len(cert.IPAddresses) > 0 || len(cert.Extensions) > 0 {
		t.Errorf("the certificate says %v, %v, %v", cert.Subject, cert.DNSNames, cert.Extensions)
	}
	if cert.SerialNumber.Int64() != 1 || cert.NotBefore.Unix() != 0 || cert.NotAfter.Year() != 9999 {
		t.Errorf("the certificate says %v, %v, %v", cert.SerialNumber, cert.NotBefore, cert.NotAfter)
	}
	c.Write(random(MaxSecrets * proofLen))
	got, _ := io.ReadAll(c)
	if !bytes.Equal(got, []byte{0}) {
		t.Errorf("answered %x", got)
	}
	if o := <-done; !errors.Is(o.err, ErrNoSecret) {
		t.Error(o.err)
	}
}

// A stranger that is called by a node, having lied by mDNS, sees proofs that are of no
// use, as many of them whatever the node has, and nothing that is the same twice.
func TestAStrangerThatIsCalledLearnsNothing(t *testing.T) {
	g := guard(t, Options{Name: "the-name", ID: "ABCDEF", Secrets: [][]byte{secretA}})
	_, config := stranger(t)
	var seen [][]byte
	for range 2 {
		d, a := sockets(t)
		done := make(chan outcome)
		go func() { done <- client(g, d) }()
		s := tls.Server(a, config)
		first := make([]byte, MaxSecrets*proofLen)
		if _, err := io.ReadFull(s, first); err != nil {
			t.Fatal(err)
		}
		if name := s.ConnectionState().ServerName; name != "" {
			t.Errorf("the dialler names %q", name)
		}
		seen = append(seen, first)
		// It goes on as if all was well.
		s.Write(appendIdentity([]byte{1}, "A", proof(random(proofLen))))
		if rest, _ := io.ReadAll(s); len(rest) > 0 {
			t.Errorf("the dialler goes on with %d bytes", len(rest))
		}
		if o := <-done; !errors.Is(o.err, ErrNoSecret) {
			t.Error(o.err)
		}
	}
	for i := range MaxSecrets {
		for j := range MaxSecrets {
			if bytes.Equal(seen[0][i*proofLen:][:proofLen], seen[1][j*proofLen:][:proofLen]) {
				t.Error("a proof was given twice")
			}
		}
	}
}

// A node's own proof, sent back to it.
func TestReflection(t *testing.T) {
	g := guard(t, Options{ID: "D"})
	_, config := stranger(t)
	d, a := sockets(t)
	done := make(chan outcome)
	go func() { done <- client(g, d) }()
	s := tls.Server(a, config)
	first := make([]byte, MaxSecrets*proofLen)
	if _, err := io.ReadFull(s, first); err != nil {
		t.Fatal(err)
	}
	s.Write(appendIdentity([]byte{1}, "A", proof(first[:proofLen])))
	if o := <-done; !errors.Is(o.err, ErrNoSecret) {
		t.Errorf("the dialler: %v", o.err)
	}
}

// A stranger between two nodes ends TLS on both sides and passes on what is inside.
func TestTheManInTheMiddle(t *testing.T) {
	d, toDialler := sockets(t)
	toAcceptor, a := sockets(t)
	clientConfig, serverConfig := stranger(t)
	var relays sync.WaitGroup
	relays.Go(func() {
		in, out := tls.Server(toDialler, serverConfig), tls.Client(toAcceptor, clientConfig)
		relays.Go(func() { io.Copy(in, out); in.Close() })
		io.Copy(out, in)
		out.Close()
	})
	od, oa := meetOver(guard(t, Options{ID: "D"}), d, guard(t, Options{ID: "A"}), a)
	if !errors.Is(od.err, ErrNoSecret) || !errors.Is(oa.err, ErrNoSecret) {
		t.Errorf("the dialler: %v; the acceptor: %v", od.err, oa.err)
	}
	relays.Wait()
}

// tap passes bytes on between two sockets and keeps those of the dialler.
func tap(t *testing.T, relays *sync.WaitGroup) (dialler, acceptor net.Conn, recorded *bytes.Buffer) {
	t.Helper()
	d, near := sockets(t)
	far, a := sockets(t)
	recorded = new(bytes.Buffer)
	relays.Go(func() { io.Copy(io.MultiWriter(far, recorded), near); far.CloseWrite() })
	relays.Go(func() { io.Copy(near, far); near.CloseWrite() })
	return d, a, recorded
}

// What a node sent once opens nothing the second time, neither to the same node nor to
// another.
func TestReplay(t *testing.T) {
	a := guard(t, Options{ID: "A"})
	var relays sync.WaitGroup
	cd, ca, recorded := tap(t, &relays)
	od, oa := meetOver(guard(t, Options{ID: "D"}), cd, a, ca)
	if od.err != nil || oa.err != nil {
		t.Fatal(od.err, oa.err)
	}
	io.WriteString(od.conn, "tcpnet\x01L and so on")
	od.conn.Close()
	io.ReadAll(oa.conn)
	oa.conn.Close()
	relays.Wait()
	for _, g := range []*Guard{a, guard(t, Options{ID: "B"})} {
		d, c := sockets(t)
		d.Write(recorded.Bytes())
		d.CloseWrite()
		go io.Copy(io.Discard, d)
		if o := server(g, c); o.err == nil {
			t.Error("a recording was let in")
		}
	}
}

// Routed to itself by somebody in the middle, a node finds that it is itself.
func TestRoutedToItself(t *testing.T) {
	g := guard(t, Options{ID: "D"})
	d, a := joined(t, g, g)
	if d.Peer() != "D" || a.Peer() != "D" {
		t.Errorf("IDs %q and %q were proved", d.Peer(), a.Peer())
	}
}

// Whoever has seen a member's certificate cannot use it, nor claim its ID.
func TestAMembersIdentityCannotBeBorrowed(t *testing.T) {
	member := guard(t, Options{ID: "A"})
	certificate := member.configs.client.Certificates[0].Certificate
	t.Run("its certificate", func(t *testing.T) {
		config, _ := stranger(t)
		config = config.Clone()
		config.Certificates[0].Certificate = certificate // with another private key
		d, a := sockets(t)
		done := make(chan outcome)
		go func() { done <- server(guard(t, Options{ID: "B"}), a) }()
		c := tls.Client(d, config)
		c.Handshake()
		c.Write(random(MaxSecrets * proofLen))
		io.Copy(io.Discard, c)
		if o := <-done; o.err == nil || errors.Is(o.err, ErrNoSecret) {
			t.Errorf("TLS does not mind: %v", o.err)
		}
	})
	t.Run("its ID", func(t *testing.T) {
		// Even a member cannot change the ID of a proof that another has made.
		d, a := sockets(t)
		done := make(chan outcome)
		go func() { done <- server(guard(t, Options{ID: "B"}), a) }()
		g := guard(t, Options{ID: "C"})
		s := &socket{Conn: d, quota: g.quota}
		c := &Conn{socket: s, tls: tls.Client(s, g.configs.client)}
		if err := c.tls.Handshake(); err != nil {
			t.Fatal(err)
		}
		tr, err := g.transcript(c, true)
		if err != nil {
			t.Fatal(err)
		}
		k := (*g.keys.Load())[0]
		p := k.proof(roleDialler, tr)
		c.tls.Write(append(p[:], make([]byte, (MaxSecrets-1)*proofLen)...))
		var number [1]byte
		io.ReadFull(c.tls, number[:])
		id, _, err := readIdentity(c.tls)
		if err != nil {
			t.Fatal(err)
		}
		c.tls.Write(appendIdentity(nil, "A", k.proof(roleIdentity, tr, "C", id)))
		if o := <-done; !errors.Is(o.err, ErrNoSecret) {
			t.Errorf("%v", o.err)
		}
	})
}

// Nobody can make a node do without TLS, or use an old one.
func TestDowngrade(t *testing.T) {
	_, config := stranger(t)
	t.Run("to an older TLS, of a dialler", func(t *testing.T) {
		old := config.Clone()
		old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
		d, a := sockets(t)
		go tls.Server(a, old).Handshake()
		if o := client(guard(t, Options{}), d); !errors.Is(o.err, ErrForeign) {
			t.Errorf("%v", o.err)
		}
	})
	t.Run("to an older TLS, of an acceptor", func(t *testing.T) {
		d, a := sockets(t)
		go tls.Client(d, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, NextProtos: []string{alpn}}).Handshake()
		if o := server(guard(t, Options{}), a); o.err == nil {
			t.Error("it was let in")
		}
	})
	t.Run("to plain, of a dialler", func(t *testing.T) {
		d, a := sockets(t)
		got := make(chan []byte, 1)
		go func() {
			b := make([]byte, 4096)
			n, _ := a.Read(b)
			io.WriteString(a, "tcpnet\x01L")
			rest, _ := io.ReadAll(a)
			got <- append(b[:n], rest...)
		}()
		if o := client(guard(t, Options{}), d); o.err == nil {
			t.Error("it goes on")
		}
		if b := <-got; bytes.Contains(b, []byte("tcpnet\x01")) || b[0] != RecordHandshake {
			t.Errorf("the dialler has said %q in plain", b)
		}
	})
	t.Run("for another purpose", func(t *testing.T) {
		d, a := sockets(t)
		web := config.Clone()
		web.NextProtos = []string{"h2"}
		go tls.Client(d, &tls.Config{InsecureSkipVerify: true, Certificates: web.Certificates}).Handshake()
		if o := server(guard(t, Options{}), a); !errors.Is(o.err, ErrForeign) {
			t.Errorf("%v", o.err)
		}
	})
}

func TestCertificatesThatNodesDoNotMake(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	config, _ := stranger(t)
	good := config.Certificates[0]
	for name, c := range map[string]tls.Certificate{
		"another kind of key": {Certificate: [][]byte{der}, PrivateKey: private},
		"a chain":             {Certificate: [][]byte{good.Certificate[0], good.Certificate[0]}, PrivateKey: good.PrivateKey},
	} {
		t.Run(name, func(t *testing.T) {
			d, a := sockets(t)
			go tls.Client(d, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{alpn}, Certificates: []tls.Certificate{c}}).Handshake()
			if o := server(guard(t, Options{}), a); !errors.Is(o.err, ErrCertificate) {
				t.Errorf("%v", o.err)
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		d, a := sockets(t)
		go tls.Client(d, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{alpn}}).Handshake()
		if o := server(guard(t, Options{}), a); o.err == nil {
			t.Error("it was let in")
		}
	})
}

// A stranger cannot make a node read, and keep, more than belongs to a handshake.
func TestAStrangerCannotGoOnForEver(t *testing.T) {
	d, a := sockets(t)
	go func() {
		// Records that say that a handshake message of 64 kB follows, byte by byte.
		d.Write([]byte{RecordHandshake, 3, 1, 0, 4, 1, 0, 0xff, 0xff})
		for {
			if _, err := d.Write([]byte{RecordHandshake, 3, 1, 0, 1, 0}); err != nil {
				return
			}
		}
	}()
	c := &counting{Conn: a}
	if o := server(guard(t, Options{}), c); !errors.Is(o.err, ErrForeign) {
		t.Errorf("%v", o.err)
	}
	if c.read > strangerBytes {
		t.Errorf("%d bytes were read", c.read)
	}
}

type counting struct {
	net.Conn
	read int
}

func (c *counting) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.read += n
	return n, err
}

// FuzzServer sends any bytes to an acceptor, in plain and inside TLS.
func FuzzServer(f *testing.F) {
	f.Add([]byte("tcpnet\x01L"), false)
	f.Add([]byte{RecordHandshake, 3, 1, 0, 4, 1, 0, 0xff, 0xff}, false)
	f.Add(make([]byte, MaxSecrets*proofLen), true)
	g := guard(f, Options{ID: "A"})
	config, _ := stranger(f)
	f.Fuzz(func(t *testing.T, b []byte, inside bool) {
		d, a := sockets(t)
		done := make(chan outcome)
		go func() { done <- server(g, a) }()
		if inside {
			c := tls.Client(d, config)
			c.Write(b)
			c.CloseWrite()
			io.Copy(io.Discard, c)
		} else {
			d.Write(b)
			d.CloseWrite()
			io.Copy(io.Discard, d)
		}
		if o := <-done; o.err == nil {
			t.Fatal("it was let in")
		}
	})
}

// FuzzIdentity reads any bytes as an ID and its proof.
func FuzzIdentity(f *testing.F) {
	f.Add(appendIdentity(nil, "ABCDEF", proof{1, 2, 3}))
	f.Add([]byte{0})
	f.Add([]byte{255, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		id, p, err := readIdentity(bytes.NewReader(b))
		if err != nil {
			return
		}
		if len(id) < 1 || len(id) > MaxID || !bytes.HasPrefix(b, appendIdentity(nil, id, p)) {
			t.Errorf("%q, %x of %x", id, p, b)
		}
	})
}
