// Package secure keeps strangers out of a private cluster: TLS 1.3 on every socket,
// and inside it a proof from both sides that they know the cluster's secret
// (PROTOCOL.md section 13).
//
// What is proved and how stands in proof.go and is pure. [Guard] does it on sockets,
// and [Conn] is what comes of one.
package secure

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
)

// Why a socket did not become private. Other errors are those of the network.
var (
	// ErrNoSecret: the two nodes have no secret in common.
	ErrNoSecret = errors.New("the two nodes have no secret in common: give both the same (Config.Secrets, tcpnet join --secret-file)")
	// ErrCertificate: a certificate was not found valid by one of the two.
	ErrCertificate = errors.New("no valid certificate (Config.TLS)")
	// ErrOpen: the other side speaks plain.
	ErrOpen = errors.New("the node there is open and this one is private: give it the secret too, or choose another name")
	// ErrBusy: the other side has no room.
	ErrBusy = errors.New("the node there has too many newcomers at once")
	// ErrForeign: the other side speaks something else.
	ErrForeign = errors.New("what is there is no node of a private cluster")
)

// errNotResumed ends an attempt to resume a session that the other side does not know any
// more. The next begins a new one.
var errNotResumed = errors.New("the node there has been started anew")

// MaxSecrets is how many secrets a node can have (PROTOCOL.md section 13.2).
const MaxSecrets = 8

// MaxID is the longest ID, in bytes.
const MaxID = 128

// alpn is the protocol's name in TLS.
const alpn = "tcpnet/1"

// What a stranger may send before its proof (PROTOCOL.md section 13.5). The second
// is for certificates of the program's own, which come in chains.
const (
	strangerBytes     = 16 << 10
	strangerBytesOwns = 64 << 10
)

// resumable is how many TLS sessions a node remembers for the next socket to the same
// address.
const resumable = 256

// Options are what a Guard needs to know.
type Options struct {
	Name    string      // of the cluster
	ID      string      // of this node
	Secrets [][]byte    // the first is preferred; may be empty if TLS is set
	TLS     *tls.Config // the program's own certificates; nil: a key is made
}

// Guard makes the sockets of one node private. Its methods are safe for concurrent
// use.
type Guard struct {
	name, id string
	keys     atomic.Pointer[[]key]
	quota    int  // bytes that a stranger may send
	owns     bool // the certificates are the program's own
	configs  *configs
}

// configs are those of TLS for both roles, and the hash of the own key where the node has
// made it.
type configs struct {
	client, server *tls.Config
	again          *tls.Config // client's where there is a session to resume; nil: the same
	self           keyHash
}

// New returns a guard.
func New(o Options) (*Guard, error) {
	if len(o.Secrets) == 0 && o.TLS == nil {
		return nil, errors.New("neither a secret nor certificates")
	}
	g := &Guard{name: o.Name, id: o.ID, quota: strangerBytes}
	var err error
	if o.TLS != nil {
		g.owns, g.quota = true, strangerBytesOwns
		g.configs, err = completeConfigs(o.TLS)
	} else {
		g.configs, err = makeConfigs()
	}
	if err != nil {
		return nil, err
	}
	g.SetSecrets(o.Secrets)
	return g, nil
}

// SetSecrets replaces the secrets, for the sockets to come. At most MaxSecrets count.
func (g *Guard) SetSecrets(secrets [][]byte) {
	keys := makeKeys(secrets[:min(len(secrets), MaxSecrets)])
	g.keys.Store(&keys)
}

// Client makes a socket that this side has dialled private. The caller has set a
// deadline, and closes conn if there is an error.
func (g *Guard) Client(conn net.Conn) (*Conn, error) {
	config := g.configs.client
	again := false
	if g.configs.again != nil {
		if _, again = config.ClientSessionCache.Get(conn.RemoteAddr().String()); again {
			config = g.configs.again
		}
	}
	if g.owns && config.ServerName == "" && !config.InsecureSkipVerify {
		config = config.Clone()
		config.ServerName = hostOf(conn.RemoteAddr())
	}
	s := &socket{Conn: conn, quota: g.quota}
	c := &Conn{socket: s, tls: tls.Client(s, config)}
	if err := c.tls.Handshake(); err != nil {
		return nil, clientError(err)
	}
	if again && !c.tls.ConnectionState().DidResume {
		// The node there is another by now, and a new session needs better keys.
		config.ClientSessionCache.Put(conn.RemoteAddr().String(), nil)
		return nil, errNotResumed
	}
	if err := g.dial(c); err != nil {
		return nil, clientError(err)
	}
	s.quota = unlimited
	return c, nil
}

// Server is Client for a socket that has come in. An ErrOpen or ErrForeign has been
// answered.
func (g *Guard) Server(conn net.Conn) (*Conn, error) {
	s := &socket{Conn: conn, quota: g.quota}
	c := &Conn{socket: s, tls: tls.Server(s, g.configs.server)}
	if err := c.tls.Handshake(); err != nil {
		return nil, serverError(conn, err)
	}
	if err := g.accept(c); err != nil {
		return nil, err
	}
	s.quota = unlimited
	return c, nil
}

// dial is the dialler's side of the proofs.
func (g *Guard) dial(c *Conn) error {
	keys := *g.keys.Load()
	t, err := g.transcript(c, true)
	if err != nil {
		return err
	}
	var first [MaxSecrets * proofLen]byte
	rand.Read(first[:]) // never fails
	for i, k := range keys {
		p := k.proof(roleDialler, t)
		copy(first[i*proofLen:], p[:])
	}
	if _, err := c.tls.Write(first[:]); err != nil {
		return err
	}
	var number [1]byte
	if _, err := io.ReadFull(c.tls, number[:]); err != nil {
		return err
	}
	if number[0] == 0 || int(number[0]) > len(keys) {
		return ErrNoSecret
	}
	k := keys[number[0]-1]
	id, p, err := readIdentity(c.tls)
	if err != nil {
		return err
	}
	if !p.is(k.proof(roleAcceptor, t, id)) {
		return ErrNoSecret
	}
	c.peer = id
	own := k.proof(roleIdentity, t, g.id, id)
	_, err = c.tls.Write(appendIdentity(nil, g.id, own))
	return err
}

// accept is the acceptor's side of the proofs.
func (g *Guard) accept(c *Conn) error {
	var first [MaxSecrets * proofLen]byte
	if _, err := io.ReadFull(c.tls, first[:]); err != nil {
		return err
	}
	t, err := g.transcript(c, false)
	if err != nil {
		return err
	}
	k, number := match(*g.keys.Load(), t, &first)
	if number == 0 {
		c.tls.Write([]byte{0})
		return ErrNoSecret
	}
	if _, err := c.tls.Write(appendIdentity([]byte{byte(number)}, g.id, k.proof(roleAcceptor, t, g.id))); err != nil {
		return err
	}
	id, p, err := readIdentity(c.tls)
	if err != nil {
		return err
	}
	if !p.is(k.proof(roleIdentity, t, id, g.id)) {
		return ErrNoSecret
	}
	c.peer = id
	return nil
}

// transcript returns what the proofs on c are bound to.
func (g *Guard) transcript(c *Conn, dialler bool) (*transcript, error) {
	state := c.tls.ConnectionState()
	t := &transcript{name: g.name}
	exported, err := state.ExportKeyingMaterial(exporterLabel, nil, len(t.exporter))
	if err != nil {
		return nil, err
	}
	copy(t.exporter[:], exported)
	if !g.owns {
		t.client, t.server = g.configs.self, hashKey(state.PeerCertificates[0])
		if !dialler {
			t.client, t.server = t.server, t.client
		}
	}
	return t, nil
}

// clientError says what an error of the handshake means for who has dialled.
func clientError(err error) error {
	var header tls.RecordHeaderError
	var op *net.OpError
	var invalid *tls.CertificateVerificationError
	switch {
	case errors.As(err, &header) && header.Conn != nil && header.RecordHeader[0] == plainReject:
		if header.RecordHeader[4] == plainBusy {
			return ErrBusy
		}
		return ErrOpen
	case errors.As(err, &header):
		return fmt.Errorf("%w: %w", ErrForeign, err)
	case errors.As(err, &invalid), errors.Is(err, errBadCertificate):
		return fmt.Errorf("%w: %w", ErrCertificate, err)
	case errors.As(err, &op) && op.Op == "remote error":
		switch text := op.Err.Error(); {
		case text == tls.AlertError(alertInternal).Error():
			return ErrBusy
		case strings.Contains(text, "certificate") || strings.Contains(text, "unknown"):
			return fmt.Errorf("%w: the node there says: %w", ErrCertificate, op.Err)
		}
		return fmt.Errorf("%w: %w", ErrForeign, err)
	case errors.As(err, &op) && op.Op == "local error":
		return fmt.Errorf("%w: %w", ErrForeign, err)
	}
	return err
}

// serverError is clientError for who was called, and answers where PROTOCOL.md
// section 13.4 says so.
func serverError(conn net.Conn, err error) error {
	var header tls.RecordHeaderError
	var invalid *tls.CertificateVerificationError
	switch {
	case errors.As(err, &header) && header.Conn != nil:
		conn.Write(alert(alertUnexpected))
		if string(header.RecordHeader[:]) == "tcpne" {
			return ErrOpen
		}
		return fmt.Errorf("%w: %w", ErrForeign, err)
	case errors.As(err, &invalid), errors.Is(err, errBadCertificate):
		return fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	return err
}

// The descriptions of alerts (RFC 8446 section 6).
const (
	alertUnexpected = 10
	alertInternal   = 80
)

// The first byte of an open node's answer, a REJECT frame, and the code in it that
// says busy (PROTOCOL.md section 4). An alert, which a private node sends, has another
// first byte.
const (
	plainReject = 0x03
	plainBusy   = 7
)

// The first byte of what is sent in TLS.
const (
	RecordAlert     = 0x15
	RecordHandshake = 0x16
)

// alert returns a fatal alert before any keys (RFC 8446 sections 5.1 and 6).
func alert(description byte) []byte {
	return []byte{RecordAlert, 3, 3, 0, 2, 2, description}
}

// Busy is how a private node turns a socket away for lack of room.
func Busy() []byte { return alert(alertInternal) }
