package secure

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"time"
)

// maxCertificate is the longest self-signed certificate that is looked at.
const maxCertificate = 1024

var errBadCertificate = errors.New("not a certificate as nodes make them")

// makeConfigs makes a key and what TLS needs to know of it (PROTOCOL.md section 13.1).
func makeConfigs() (*configs, error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	// The dates say nothing, also not when the node was started, and clocks do not
	// matter.
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC), // RFC 5280 section 4.1.2.5
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	base := &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private, Leaf: leaf}},
		MinVersion:   tls.VersionTLS13,
		NextProtos:   []string{alpn},
		// Before a signature of the stranger's is looked at. Not called when a
		// session is resumed, whose certificate has passed it.
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			if len(raw) != 1 || len(raw[0]) > maxCertificate {
				return errBadCertificate
			}
			c, err := x509.ParseCertificate(raw[0])
			if err != nil {
				return fmt.Errorf("%w: %w", errBadCertificate, err)
			}
			if _, ok := c.PublicKey.(ed25519.PublicKey); !ok {
				return errBadCertificate
			}
			return nil
		},
		VerifyConnection: speaksOurs,
	}
	client, server := base.Clone(), base
	// The proofs say who is there, not the certificate's names.
	client.InsecureSkipVerify = true
	client.ClientSessionCache = tls.NewLRUClientSessionCache(resumable)
	server.ClientAuth = tls.RequireAnyClientCert
	// The keys of a session that is resumed follow from its first exchange too, which
	// stays what it was: the second need not cost as much.
	again := client.Clone()
	again.CurvePreferences = []tls.CurveID{tls.X25519}
	return &configs{client: client, server: server, again: again, self: hashKey(leaf)}, nil
}

// speaksOurs refuses what speaks TLS for another purpose.
func speaksOurs(s tls.ConnectionState) error {
	if s.NegotiatedProtocol != alpn {
		return fmt.Errorf("%w: it does not offer %q", ErrForeign, alpn)
	}
	return nil
}

// completeConfigs makes of a program's config what both roles need, and refuses one
// that would let anybody in.
func completeConfigs(own *tls.Config) (*configs, error) {
	custom := own.VerifyPeerCertificate != nil || own.VerifyConnection != nil
	switch {
	case len(own.Certificates) == 0 && own.GetCertificate == nil && own.GetConfigForClient == nil:
		return nil, errors.New("it has no certificate to accept with: set Certificates, or GetCertificate and GetClientCertificate")
	case len(own.Certificates) == 0 && own.GetClientCertificate == nil:
		return nil, errors.New("it has no certificate to dial with: set Certificates, or GetClientCertificate beside GetCertificate")
	case own.InsecureSkipVerify && !custom:
		return nil, errors.New("InsecureSkipVerify would let anybody in: set RootCAs, or VerifyPeerCertificate or VerifyConnection beside it")
	case own.RootCAs == nil && !own.InsecureSkipVerify:
		return nil, errors.New("it has no RootCAs: whoever has a certificate of a public authority would be let in; set those of the cluster's own authority")
	case own.MaxVersion != 0 && own.MaxVersion < tls.VersionTLS13:
		return nil, errors.New("its MaxVersion is below TLS 1.3, which is what nodes speak")
	}
	client, err := complete(own)
	if err != nil {
		return nil, err
	}
	server, err := complete(own)
	if err != nil {
		return nil, err
	}
	if choose := own.GetConfigForClient; choose != nil {
		server.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			c, err := choose(h)
			if c == nil || err != nil {
				return nil, err
			}
			return complete(c)
		}
	}
	return &configs{client: client, server: server}, nil
}

// complete returns a copy of a program's config with what nodes insist on.
func complete(own *tls.Config) (*tls.Config, error) {
	c := own.Clone()
	c.MinVersion, c.MaxVersion = tls.VersionTLS13, 0
	c.NextProtos = []string{alpn}
	c.GetConfigForClient = nil
	// Whoever resumes a session is not verified anew.
	c.SessionTicketsDisabled = c.SessionTicketsDisabled || c.ClientSessionCache == nil
	if c.ClientCAs == nil {
		c.ClientCAs = c.RootCAs
	}
	custom := c.VerifyPeerCertificate != nil || c.VerifyConnection != nil
	if c.ClientAuth != tls.RequireAnyClientCert || !custom {
		if c.ClientCAs == nil {
			return nil, errors.New("it verifies no client: set ClientCAs or RootCAs, or ClientAuth to RequireAnyClientCert beside VerifyPeerCertificate or VerifyConnection")
		}
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	verify := c.VerifyConnection
	c.VerifyConnection = func(s tls.ConnectionState) error {
		if err := speaksOurs(s); err != nil {
			return err
		}
		if len(s.PeerCertificates) == 0 {
			return errBadCertificate
		}
		if verify != nil {
			if err := verify(s); err != nil {
				return fmt.Errorf("%w: %w", errBadCertificate, err)
			}
		}
		return nil
	}
	if check := c.VerifyPeerCertificate; check != nil {
		c.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) error {
			if err := check(slices.Clone(raw), chains); err != nil {
				return fmt.Errorf("%w: %w", errBadCertificate, err)
			}
			return nil
		}
	}
	return c, nil
}

// hostOf returns the IP of an address, as certificates name it.
func hostOf(a net.Addr) string {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return a.String()
	}
	return ap.Addr().Unmap().WithZone("").String()
}
