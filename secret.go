package tcpnet

import (
	"errors"
	"fmt"
	"log/slog"

	"example.com/tcpnet/internal/secure"
)

// NewSecret returns a new secret for [Config.Secrets] as text, for people and files:
// 256 random bits with a checksum. [ParseSecret] reads it. It is what tcpnet keygen
// prints.
func NewSecret() string { return secure.NewText() }

// ParseSecret reads a secret that [NewSecret] or tcpnet keygen has made. Space around
// it and the case of letters do not matter. The error says what is wrong, a typo for
// instance, and never contains the secret.
func ParseSecret(text string) ([]byte, error) {
	b, err := secure.ParseText(text)
	if err != nil {
		return nil, fmt.Errorf("tcpnet: %w", err)
	}
	return b, nil
}

// ErrOpenCluster is returned by SetSecrets on a node of an open cluster.
var ErrOpenCluster = errors.New("tcpnet: the node was made without Config.Secrets: an open node cannot be made private while it runs")

// SetSecrets replaces Config.Secrets of a running node, for all connections to come.
// Those that exist stay, also to peers that know none of the new secrets: close them
// to be rid of such a peer.
//
// To change the secret of a cluster while it runs, give every node the new one and the
// old one, in this order, and when all have both, the new one alone.
func (n *Node) SetSecrets(secrets ...[]byte) error {
	if n.guard == nil || !n.secrets {
		return ErrOpenCluster
	}
	if len(secrets) == 0 {
		return errors.New("tcpnet: SetSecrets: no secret was given: a private node cannot be made open while it runs")
	}
	checked, err := checkSecrets(secrets)
	if err != nil {
		return fmt.Errorf("tcpnet: SetSecrets: %w", err)
	}
	n.guard.SetSecrets(checked)
	n.mesh.SecretsChanged()
	return nil
}

// checkSecrets returns the bytes of secrets that may be in their text form.
func checkSecrets(secrets [][]byte) (checked [][]byte, err error) {
	if len(secrets) > secure.MaxSecrets {
		return nil, fmt.Errorf("%d secrets, at most %d are possible", len(secrets), secure.MaxSecrets)
	}
	for i, s := range secrets {
		b, err := secure.CheckSecret(s)
		if err != nil {
			return nil, fmt.Errorf("secret %d: %w", i+1, err)
		}
		checked = append(checked, b)
	}
	return checked, nil
}

// newGuard returns what keeps strangers out, or nil for an open cluster. It takes the
// secrets out of cfg, so that nothing can show them.
func newGuard(cfg *Config) (*secure.Guard, error) {
	secrets, err := checkSecrets(cfg.Secrets)
	if err != nil {
		return nil, fmt.Errorf("tcpnet: Config.Secrets: %w", err)
	}
	own := cfg.TLS
	cfg.Secrets, cfg.TLS = nil, nil
	if len(secrets) == 0 && own == nil {
		cfg.Logger.Warn("the cluster is open: whoever is on the network and knows its name can join it and read what is sent to all; set Config.Secrets (tcpnet join --secret-file; tcpnet keygen makes a secret) to keep strangers out", "cluster", cfg.Name)
		return nil, nil
	}
	guard, err := secure.New(secure.Options{Name: cfg.Name, ID: string(cfg.ID), Secrets: secrets, TLS: own})
	if err != nil {
		return nil, fmt.Errorf("tcpnet: Config.TLS: %w", err)
	}
	return guard, nil
}

// shown is a Config as people may see it.
type shown struct {
	Name       string
	ID         ID
	Addr       string
	Label      string
	Meta       map[string]string
	Seeds      []string
	Secrets    string
	TLS        bool
	Handler    bool
	Discovery  int
	Interfaces bool
	Admit      bool
	Liveness   Liveness
	Limits     Limits
}

func (cfg Config) shown() shown {
	secrets := "none"
	if n := len(cfg.Secrets); n > 0 {
		secrets = fmt.Sprintf("%d, not shown", n)
	}
	return shown{
		Name: cfg.Name, ID: cfg.ID, Addr: cfg.Addr, Label: cfg.Label, Meta: cfg.Meta, Seeds: cfg.Seeds,
		Secrets: secrets, TLS: cfg.TLS != nil, Handler: cfg.Handler != nil, Discovery: len(cfg.Discovery),
		Interfaces: cfg.Interfaces != nil, Admit: cfg.Admit != nil, Liveness: cfg.Liveness, Limits: cfg.Limits,
	}
}

// String returns cfg for people, without its secrets.
func (cfg Config) String() string { return fmt.Sprintf("%+v", cfg.shown()) }

// GoString is String for the verb %#v.
func (cfg Config) GoString() string { return "tcpnet.Config" + cfg.String() }

// Format writes cfg without its secrets, whatever the verb.
func (cfg Config) Format(f fmt.State, verb rune) {
	if f.Flag('#') {
		fmt.Fprint(f, cfg.GoString())
	} else {
		fmt.Fprint(f, cfg.String())
	}
}

// LogValue returns cfg for package slog, without its secrets.
func (cfg Config) LogValue() slog.Value { return slog.StringValue(cfg.String()) }
