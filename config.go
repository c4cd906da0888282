package tcpnet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"example.com/tcpnet/discovery"
	"example.com/tcpnet/discovery/mdns"
	"example.com/tcpnet/internal/link"
	"example.com/tcpnet/internal/netstack"
)

// Config is what [Join] needs to know. Only Name is required. Join copies it; what
// it points to must not be changed afterwards. However it is printed or logged, its
// secrets are not shown.
type Config struct {
	// Name is what the nodes of a cluster share: 1 to 255 bytes of any UTF-8
	// text. Nodes of other names are never connected to.
	Name string

	// ID is the node's own. The default is 128 random bits. No two living nodes
	// of a cluster may have the same.
	ID ID

	// Addr is where to listen, as "host:port". The default is ":0": all
	// addresses of the machine, at a port that the system chooses. The host may
	// be an IP address of the machine, or a name that stands for some; then
	// only these are listened on and announced. With a loopback address
	// nothing leaves the machine.
	Addr string

	// Handler, if set, is called in a goroutine of its own for every new
	// connection, perhaps before Join has returned: Conn.Node gives it the node.
	// The connection stays open when it returns.
	Handler func(*Conn)

	// Label names the node for people. The default is the machine's host name.
	// At most 255 bytes of UTF-8 text.
	Label string

	// Meta is shown to peers, as PeerInfo.Meta: text in UTF-8. All keys and values together,
	// and 4 bytes for each pair, may take 2,048 bytes, one key 255.
	Meta map[string]string

	// Seeds are "host:port" addresses of other nodes, for networks without
	// multicast. One that answers is enough to find all. Names are looked up
	// at every attempt; a seed is tried again, for ever, while it leads to
	// nobody.
	Seeds []string

	// Discovery finds the other nodes, by all of these together. Nil means
	// mDNS; an empty slice means Seeds alone.
	Discovery []discovery.Discoverer

	// StateFile, if set, is the path of a file in which the node keeps where
	// it has met peers, so that it finds them after a restart where nothing
	// else would lead to them: without multicast, or when the seeds are gone.
	// It holds up to 256 peers, each for 30 days after it was connected last.
	// Others at the same addresses do as well: give the nodes fixed ports.
	//
	// The file is made when the first peer is met; its directory has to exist.
	// It belongs to one cluster, and nodes of that may share it. One that is
	// damaged is logged and replaced.
	StateFile string

	// Interfaces says which network interfaces to use. The default is all
	// that are up.
	Interfaces func(net.Interface) bool

	// Secrets make the cluster private: only nodes that know one of them can join,
	// and everything between nodes is encrypted (TLS 1.3, with keys of its own for
	// each socket). Without them, and without TLS, the cluster is open to whoever
	// is on the network and knows its name, and nothing is encrypted; Join logs
	// that as a warning. Open and private nodes never mix, and nothing is
	// negotiated: each reports the other as Rejected, with ErrPrivate or ErrOpen.
	//
	// A secret is 16 or more random bytes, or what [NewSecret] or tcpnet keygen
	// returns, as bytes. What can be guessed, because it looks like words for
	// instance, is refused. Of up to 8, two nodes use the first that both have:
	// see [Node.SetSecrets] for how to change the secret of a running cluster.
	// Join does not keep them, and no error, log or Status contains any.
	//
	// A secret is the group's: who has it is a member, and can take in others.
	Secrets [][]byte

	// TLS brings your own certificates, of a company's authority or of SPIFFE,
	// instead of Secrets or beside them; then both are needed. It is used for
	// dialling and for accepting: with Certificates, or GetCertificate and
	// GetClientCertificate; with RootCAs, which also verify those who call if
	// ClientCAs is nil; or with InsecureSkipVerify, RequireAnyClientCert, and a
	// VerifyPeerCertificate or VerifyConnection that says who is let in. A config
	// that would let anybody in is refused by Join.
	//
	// Nodes are dialled by IP address. If ServerName is empty, the certificate of
	// the node there has to name that address; if it is set, the certificates of
	// all nodes have to name it. TLS 1.3 and the protocol's name are insisted on,
	// and both sides always present a certificate.
	//
	// A certificate says who may join, not which ID it has: for that see Admit
	// and PeerInfo.TLS.
	TLS *tls.Config

	// Admit, if set, has the last word on who is connected to. It is called in
	// the handshake, perhaps several times for one peer and concurrently, and
	// has to return when ctx ends, after 5 seconds at most. An error keeps the
	// peer away, and its text is told to the peer. In a private cluster the peer
	// has proved that it knows the secret or has a valid certificate, and that
	// its ID is its own for as long as it is connected; in an open one everything
	// is only a claim.
	Admit func(ctx context.Context, peer PeerInfo) error

	// Liveness says how soon a peer that hangs or is cut off is given up.
	Liveness Liveness

	// Queue says what is kept for peers that read more slowly than messages
	// are sent to them, and what is dropped.
	Queue Queue

	// Limits bounds what strangers can use up.
	Limits Limits

	// Logger receives what happens. The default discards it.
	Logger *slog.Logger
}

// Liveness says how a silent peer is noticed. A process that ends is noticed at
// once, whatever these are.
type Liveness struct {
	Interval time.Duration // of silence after which a peer is asked for a sign of life; default 3 s
	Timeout  time.Duration // of silence after which it is given up; default 10 s, or three times Interval if that is longer
}

// FastLiveness notices a peer that hangs within 2 seconds, at six times the idle
// traffic of the default. It is for machines and networks that are never busy for
// that long.
var FastLiveness = Liveness{Interval: 500 * time.Millisecond, Timeout: 2 * time.Second}

// Limits bounds what strangers on the network can use up of this node. Peers that
// are connected do not count.
type Limits struct {
	Pending        int // incoming sockets whose handshake is not finished; default 64
	PendingPerAddr int // of these, from one address of another machine; default 4
	Dials          int // attempts to connect at one time; default 16
}

// withDefaults returns cfg checked and completed for a node on host.
func (cfg Config) withDefaults(host netstack.Host) (Config, error) {
	switch {
	case cfg.Name == "":
		return cfg, errors.New("tcpnet: Config.Name is empty: it is what the nodes of a cluster share")
	case len(cfg.Name) > link.MaxName:
		return cfg, fmt.Errorf("tcpnet: Config.Name has %d bytes, at most %d are possible", len(cfg.Name), link.MaxName)
	case !utf8.ValidString(cfg.Name):
		return cfg, errors.New("tcpnet: Config.Name is not valid UTF-8")
	case !utf8.ValidString(cfg.Label):
		return cfg, errors.New("tcpnet: Config.Label is not valid UTF-8")
	case len(cfg.Label) > link.MaxLabel:
		return cfg, fmt.Errorf("tcpnet: Config.Label has %d bytes, at most %d are possible", len(cfg.Label), link.MaxLabel)
	case link.MetaLen(cfg.Meta) > link.MaxMeta:
		return cfg, fmt.Errorf("tcpnet: Config.Meta takes %d bytes, at most %d are possible", link.MetaLen(cfg.Meta), link.MaxMeta)
	}
	for k, v := range cfg.Meta {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return cfg, fmt.Errorf("tcpnet: Config.Meta: %q is not valid UTF-8", k)
		}
		if len(k) > 255 {
			return cfg, fmt.Errorf("tcpnet: Config.Meta has a key of %d bytes, at most 255 are possible", len(k))
		}
	}
	if cfg.ID == "" {
		cfg.ID = ID(link.NewID(host.Random()))
	} else {
		id, err := ParseID(string(cfg.ID))
		if err != nil {
			return cfg, fmt.Errorf("tcpnet: Config.ID: %w", err)
		}
		cfg.ID = id
	}
	if cfg.Addr == "" {
		cfg.Addr = ":0"
	}
	for _, s := range cfg.Seeds {
		if err := checkSeed(s); err != nil {
			return cfg, fmt.Errorf("tcpnet: Config.Seeds: %q: %w (want \"host:port\")", s, err)
		}
	}
	if slices.Contains(cfg.Discovery, nil) {
		return cfg, errors.New("tcpnet: Config.Discovery has a nil")
	}
	if cfg.Label == "" {
		cfg.Label = host.Hostname()
		cfg.Label = cfg.Label[:min(len(cfg.Label), link.MaxLabel)]
	}
	if cfg.Discovery == nil {
		cfg.Discovery = []discovery.Discoverer{mdns.New(mdns.Options{Logger: cfg.Logger})}
	}
	setDefault(&cfg.Liveness.Interval, 3*time.Second)
	setDefault(&cfg.Liveness.Timeout, max(10*time.Second, 3*cfg.Liveness.Interval))
	setDefault(&cfg.Queue.Size, 1<<20)
	setDefault(&cfg.Limits.Pending, 64)
	setDefault(&cfg.Limits.PendingPerAddr, 4)
	setDefault(&cfg.Limits.Dials, 16)
	if l := cfg.Liveness; l.Interval < 100*time.Millisecond || l.Timeout < 2*l.Interval {
		return cfg, fmt.Errorf("tcpnet: Config.Liveness %v, %v: the interval has to be at least 100ms, and the time-out twice that much or more", l.Interval, l.Timeout)
	}
	if l := cfg.Limits; l.Pending < 0 || l.PendingPerAddr < 0 || l.Dials < 0 {
		return cfg, errors.New("tcpnet: Config.Limits has a negative number")
	}
	if cfg.Queue.Size < 0 || cfg.Queue.Full > CloseSlow {
		return cfg, errors.New("tcpnet: Config.Queue: Size is negative, or Full is none of DropNewest, DropOldest and CloseSlow")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return cfg, nil
}

// checkSeed returns what is wrong with a "host:port".
func checkSeed(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return err
	}
	if host == "" || strings.ContainsFunc(host, unicode.IsSpace) {
		return errors.New("this is no name or address of a machine")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return errors.New("the port has to be a number from 1 to 65535")
	}
	return nil
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
