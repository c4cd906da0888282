package secure

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

// authority issues certificates for 127.0.0.1.
type authority struct {
	cert *x509.Certificate
	key  ed25519.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{cert, private, x509.NewCertPool()}
	a.pool.AddCert(cert)
	return a
}

// issue returns a config with a certificate that change has changed.
func (a *authority) issue(t testing.TB, change func(*x509.Certificate)) *tls.Config {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "node"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: private}},
		RootCAs:      a.pool,
	}
}

func TestOwnCertificates(t *testing.T) {
	ours, others := newAuthority(t), newAuthority(t)
	good := func() Options { return Options{ID: "A", TLS: ours.issue(t, nil)} }
	named := func(name string, sets bool) Options {
		c := ours.issue(t, func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{name} })
		if sets {
			c.ServerName = "cluster.example"
		}
		return Options{ID: "A", TLS: c}
	}
	insecure := func(check func(tls.ConnectionState) error) Options {
		c := ours.issue(t, func(c *x509.Certificate) { c.IPAddresses = nil })
		c.RootCAs, c.InsecureSkipVerify, c.ClientAuth, c.VerifyConnection = nil, true, tls.RequireAnyClientCert, check
		return Options{ID: "A", TLS: c}
	}
	both := func(secret []byte) Options { o := good(); o.Secrets = [][]byte{secret}; return o }
	nobody := func(tls.ConnectionState) error { return errors.New("not you") }
	anybody := func(tls.ConnectionState) error { return nil }
	for _, test := range []struct {
		name              string
		dialler, acceptor Options
		want              error
	}{
		{"of one authority", good(), good(), nil},
		{"of another, the dialler's", Options{TLS: others.issue(t, nil)}, good(), ErrCertificate},
		{"of another, the acceptor's", good(), Options{TLS: others.issue(t, nil)}, ErrCertificate},
		{"expired, the dialler's", Options{TLS: ours.issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })}, good(), ErrCertificate},
		{"expired, the acceptor's", good(), Options{TLS: ours.issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })}, ErrCertificate},
		{"for another address", good(), Options{TLS: ours.issue(t, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)} })}, ErrCertificate},
		{"for a name that all have", named("cluster.example", true), named("cluster.example", true), nil},
		{"for another name", named("cluster.example", true), named("other.example", true), ErrCertificate},
		{"not for clients", Options{TLS: ours.issue(t, func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[:1] })}, good(), ErrCertificate},
		{"made by a node", Options{Secrets: [][]byte{secretA}}, good(), ErrCertificate},
		{"and called by a node with its own", good(), Options{Secrets: [][]byte{secretA}}, ErrCertificate},
		{"as the program checks", insecure(anybody), insecure(anybody), nil},
		{"refused by the program, as dialler", insecure(nobody), insecure(anybody), ErrCertificate},
		{"refused by the program, as acceptor", insecure(anybody), insecure(nobody), ErrCertificate},
		{"and a secret", both(secretA), both(secretA), nil},
		{"and another secret", both(secretA), both(secretB), ErrNoSecret},
		{"and a secret on one side", both(secretA), good(), ErrNoSecret},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, a := meet(t, guard(t, test.dialler), guard(t, test.acceptor))
			if test.want == nil {
				if d.err != nil || a.err != nil {
					t.Fatalf("the dialler: %v; the acceptor: %v", d.err, a.err)
				}
				return
			}
			if !errors.Is(d.err, test.want) {
				t.Errorf("the dialler: %v", d.err)
			}
			if a.err == nil {
				t.Error("the acceptor has let it in")
			}
		})
	}
}

// A stranger without a certificate, and one with its own, never gets as far as a proof.
func TestOwnCertificatesAreAskedForWhateverTheConfigSays(t *testing.T) {
	ours := newAuthority(t)
	for _, auth := range []tls.ClientAuthType{tls.NoClientCert, tls.RequestClientCert, tls.RequireAnyClientCert, tls.VerifyClientCertIfGiven} {
		c := ours.issue(t, nil)
		c.ClientAuth = auth
		own, _ := stranger(t)
		for name, certs := range map[string][]tls.Certificate{"none": nil, "its own": own.Certificates} {
			d, a := sockets(t)
			go tls.Client(d, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{alpn}, Certificates: certs}).Handshake()
			_, err := guard(t, Options{TLS: c}).Server(a)
			if err == nil || errors.Is(err, ErrNoSecret) {
				t.Errorf("%v, a stranger with %s: %v", auth, name, err)
			}
		}
	}
}

func TestConfigsThatWouldLetAnybodyIn(t *testing.T) {
	ours := newAuthority(t)
	for want, change := range map[string]func(*tls.Config){
		"no certificate to accept with": func(c *tls.Config) { c.Certificates = nil },
		"no certificate to dial with": func(c *tls.Config) {
			c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }
			c.Certificates = nil
		},
		"InsecureSkipVerify would let anybody in": func(c *tls.Config) { c.InsecureSkipVerify = true },
		"no RootCAs":    func(c *tls.Config) { c.RootCAs = nil },
		"below TLS 1.3": func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 },
		"verifies no client": func(c *tls.Config) {
			c.RootCAs, c.InsecureSkipVerify = nil, true
			c.VerifyConnection = func(tls.ConnectionState) error { return nil }
		},
	} {
		c := ours.issue(t, nil)
		change(c)
		if _, err := New(Options{TLS: c}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}
