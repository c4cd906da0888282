package tcpnet_test

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

	"example.com/tcpnet"
)

// authority returns what issues certificates for nodes on loopback.
func authority(t *testing.T) (issue func(name string) *tls.Config) {
	t.Helper()
	make := func(template, parent *x509.Certificate, key ed25519.PrivateKey) ([]byte, ed25519.PrivateKey) {
		public, private, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		if parent == nil {
			parent, key = template, private
		}
		template.SerialNumber = big.NewInt(1)
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
		if err != nil {
			t.Fatal(err)
		}
		return der, private
	}
	der, key := make(&x509.Certificate{
		Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil, nil)
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	return func(name string) *tls.Config {
		der, private := make(&x509.Certificate{
			Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}, ca, key)
		return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}}, RootCAs: pool}
	}
}

func TestNodesWithCertificatesOfTheirOwn(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		issue := authority(t)
		name := cluster()
		a := join(t, tcpnet.Config{Name: name, Addr: addr, TLS: issue("node a")})
		b := join(t, tcpnet.Config{Name: name, Addr: addr, TLS: issue("node b")})
		wait(t, a, 1)
		wait(t, b, 1)
		if got := a.Connections()[0].Peer().TLS.PeerCertificates[0].Subject.CommonName; got != "node b" {
			t.Errorf("the peer's certificate is of %q", got)
		}
		if err := a.SetSecrets(secret(t)); !errors.Is(err, tcpnet.ErrOpenCluster) {
			t.Errorf("SetSecrets: %v", err)
		}
	}
}

func TestANodeWithoutAValidCertificateNeverBecomesAPeer(t *testing.T) {
	name := cluster()
	a := join(t, tcpnet.Config{Name: name, TLS: authority(t)("a")})
	for what, cfg := range map[string]tcpnet.Config{
		"of another authority": {Name: name, TLS: authority(t)("b")},
		"of its own making":    {Name: name, Secrets: [][]byte{secret(t)}},
	} {
		b := join(t, cfg)
		rejection(t, b, tcpnet.ErrCertificate)
		if len(a.Connections())+len(b.Connections()) > 0 {
			t.Errorf("%s: they are connected", what)
		}
		b.Close()
	}
	open := join(t, tcpnet.Config{Name: name})
	rejection(t, open, tcpnet.ErrPrivate)
}

func TestJoinRefusesATLSConfigThatLetsAnybodyIn(t *testing.T) {
	cfg := authority(t)("a")
	cfg.InsecureSkipVerify = true
	_, err := tcpnet.Join(t.Context(), tcpnet.Config{Name: cluster(), Addr: "127.0.0.1:0", TLS: cfg})
	if err == nil || !strings.Contains(err.Error(), "Config.TLS: InsecureSkipVerify would let anybody in") {
		t.Errorf("%v", err)
	}
}
