package secure

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// patience is how long a test waits for what should happen at once.
const patience = 10 * time.Second

var secretA, secretB, secretC = random(32), random(32), random(32)

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func guard(t testing.TB, o Options) *Guard {
	t.Helper()
	if o.Name == "" {
		o.Name = "cluster"
	}
	if o.Secrets == nil && o.TLS == nil {
		o.Secrets = [][]byte{secretA}
	}
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// sockets returns the two ends of a TCP connection.
func sockets(t testing.TB) (dialled, accepted *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	d, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{d, a} {
		c.SetDeadline(time.Now().Add(patience))
		t.Cleanup(func() { c.Close() })
	}
	return d.(*net.TCPConn), a.(*net.TCPConn)
}

// outcome is what came of one side.
type outcome struct {
	conn *Conn
	err  error
}

// client and server run one side of the handshake, and close the socket of one that has
// failed, as callers do.
func client(g *Guard, c net.Conn) outcome { return side(g.Client, c) }
func server(g *Guard, c net.Conn) outcome { return side(g.Server, c) }

func side(f func(net.Conn) (*Conn, error), c net.Conn) outcome {
	conn, err := f(c)
	if err != nil {
		c.Close()
	}
	return outcome{conn, err}
}

// meet lets two guards shake hands.
func meet(t testing.TB, dialler, acceptor *Guard) (d, a outcome) {
	t.Helper()
	cd, ca := sockets(t)
	return meetOver(dialler, cd, acceptor, ca)
}

func meetOver(dialler *Guard, cd net.Conn, acceptor *Guard, ca net.Conn) (d, a outcome) {
	done := make(chan outcome)
	go func() { done <- server(acceptor, ca) }()
	d = client(dialler, cd)
	return d, <-done
}

// joined is meet for two that have to understand each other.
func joined(t testing.TB, dialler, acceptor *Guard) (d, a *Conn) {
	t.Helper()
	od, oa := meet(t, dialler, acceptor)
	if od.err != nil || oa.err != nil {
		t.Fatalf("the dialler: %v; the acceptor: %v", od.err, oa.err)
	}
	return od.conn, oa.conn
}

func TestWhoSharesASecretIsLetIn(t *testing.T) {
	for _, test := range []struct {
		name              string
		dialler, acceptor [][]byte
		in                bool
	}{
		{"the same", [][]byte{secretA}, [][]byte{secretA}, true},
		{"another", [][]byte{secretB}, [][]byte{secretA}, false},
		{"the dialler has the new one first", [][]byte{secretB, secretA}, [][]byte{secretA}, true},
		{"the acceptor has the new one first", [][]byte{secretA}, [][]byte{secretB, secretA}, true},
		{"the last of many", [][]byte{random(16), random(16), random(16), random(16), random(16), random(16), random(16), secretA},
			[][]byte{random(16), random(16), random(16), random(16), random(16), random(16), random(16), secretA}, true},
		{"none of many", [][]byte{secretB, secretC}, [][]byte{secretA, random(16)}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, a := meet(t, guard(t, Options{ID: "D", Secrets: test.dialler}), guard(t, Options{ID: "A", Secrets: test.acceptor}))
			if !test.in {
				if !errors.Is(d.err, ErrNoSecret) || !errors.Is(a.err, ErrNoSecret) {
					t.Errorf("the dialler: %v; the acceptor: %v", d.err, a.err)
				}
				return
			}
			if d.err != nil || a.err != nil {
				t.Fatalf("the dialler: %v; the acceptor: %v", d.err, a.err)
			}
			if d.conn.Peer() != "A" || a.conn.Peer() != "D" {
				t.Errorf("IDs %q and %q were proved", d.conn.Peer(), a.conn.Peer())
			}
			if v := d.conn.State().Version; v != tls.VersionTLS13 {
				t.Errorf("version %x", v)
			}
		})
	}
}

func TestTheNameBelongsToTheProof(t *testing.T) {
	d, a := meet(t, guard(t, Options{Name: "one"}), guard(t, Options{Name: "two"}))
	if !errors.Is(d.err, ErrNoSecret) || !errors.Is(a.err, ErrNoSecret) {
		t.Errorf("the dialler: %v; the acceptor: %v", d.err, a.err)
	}
}

func TestSecretsCanBeChanged(t *testing.T) {
	d, a := guard(t, Options{ID: "D"}), guard(t, Options{ID: "A"})
	joined(t, d, a)
	d.SetSecrets([][]byte{secretB})
	if d, _ := meet(t, d, a); !errors.Is(d.err, ErrNoSecret) {
		t.Errorf("a session that was resumed needs no proof: %v", d.err)
	}
	a.SetSecrets([][]byte{secretB})
	joined(t, d, a)
}

// The second socket of a pair costs less, and proves all the same.
func TestSessionsAreResumed(t *testing.T) {
	d, a := guard(t, Options{ID: "D"}), guard(t, Options{ID: "A"})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for i := range 3 {
		cd, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer cd.Close()
		ca, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer ca.Close()
		od, oa := meetOver(d, cd, a, ca)
		if od.err != nil || oa.err != nil {
			t.Fatal(od.err, oa.err)
		}
		if resumed := od.conn.State().DidResume; resumed != (i > 0) {
			t.Errorf("socket %d: resumed is %v", i, resumed)
		}
		if len(oa.conn.State().PeerCertificates) != 1 {
			t.Error("the dialler's certificate is not known")
		}
		if a, b := exported(t, od.conn), exported(t, oa.conn); !bytes.Equal(a, b) {
			t.Error("the two ends have different keys")
		}
	}
}

// A node that was started anew at the same address knows no session. The attempt to resume
// one fails, and the next, which has better keys, does not.
func TestASessionThatIsNotKnownAnyMore(t *testing.T) {
	d := guard(t, Options{ID: "D"})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	call := func(a *Guard) outcome {
		cd, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cd.Close() })
		ca, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ca.Close() })
		o, _ := meetOver(d, cd, a, ca)
		return o
	}
	if o := call(guard(t, Options{ID: "A"})); o.err != nil {
		t.Fatal(o.err)
	}
	anew := guard(t, Options{ID: "B"})
	if o := call(anew); !errors.Is(o.err, errNotResumed) {
		t.Errorf("the first attempt: %v", o.err)
	}
	o := call(anew)
	if o.err != nil {
		t.Fatal(o.err)
	}
	if s := o.conn.State(); s.DidResume || s.CurveID != tls.X25519MLKEM768 {
		t.Errorf("resumed is %v, %v", s.DidResume, s.CurveID)
	}
	if o := call(anew); o.err != nil || !o.conn.State().DidResume || o.conn.State().CurveID != tls.X25519 {
		t.Errorf("the third: %v", o.err)
	}
}

func exported(t *testing.T, c *Conn) []byte {
	t.Helper()
	b, err := c.State().ExportKeyingMaterial(exporterLabel, nil, 32)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOpenAndPrivateTellEachOther(t *testing.T) {
	t.Run("an open node answers", func(t *testing.T) {
		for code, want := range map[byte]error{14: ErrOpen, 7: ErrBusy} {
			d, a := sockets(t)
			go func() {
				a.Read(make([]byte, 4096))
				a.Write([]byte{plainReject, 0, 0, 5, code, 0, 0, 0, 0})
			}()
			if o := client(guard(t, Options{}), d); !errors.Is(o.err, want) {
				t.Errorf("code %d: %v, want %v", code, o.err, want)
			}
		}
	})
	t.Run("an open node calls", func(t *testing.T) {
		d, a := sockets(t)
		io.WriteString(d, "tcpnet\x01L and all that it has to say of itself")
		d.CloseWrite()
		if _, err := guard(t, Options{}).Server(a); !errors.Is(err, ErrOpen) {
			t.Errorf("%v", err)
		}
		a.CloseWrite()
		if got, _ := io.ReadAll(d); !bytes.Equal(got, []byte{0x15, 3, 3, 0, 2, 2, 0x0a}) {
			t.Errorf("answered %x", got)
		}
	})
	t.Run("a busy private node answers", func(t *testing.T) {
		d, a := sockets(t)
		a.Write(Busy())
		if o := client(guard(t, Options{}), d); !errors.Is(o.err, ErrBusy) {
			t.Errorf("%v", o.err)
		}
	})
	t.Run("something else calls", func(t *testing.T) {
		d, a := sockets(t)
		io.WriteString(d, "GET / HTTP/1.1\r\n\r\n")
		if o := server(guard(t, Options{}), a); !errors.Is(o.err, ErrForeign) {
			t.Errorf("%v", o.err)
		}
	})
	t.Run("something else answers", func(t *testing.T) {
		d, a := sockets(t)
		io.WriteString(a, "SSH-2.0-OpenSSH_9.6\r\n")
		if o := client(guard(t, Options{}), d); !errors.Is(o.err, ErrForeign) {
			t.Errorf("%v", o.err)
		}
	})
}

func BenchmarkFullHandshake(b *testing.B) {
	for b.Loop() {
		meet(b, guard(b, Options{ID: "D"}), guard(b, Options{ID: "A"}))
	}
}
