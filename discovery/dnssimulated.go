package discovery

import (
	"context"
	"net"

	"example.com/tcpnet/internal/dns"
	"example.com/tcpnet/internal/netstack"
)

// simulated is a [resolver] for nodes of a simulated network: its DNS has the addresses
// of its hosts.
type simulated struct{ host netstack.Host }

func (simulated) Names(name string) []string { return []string{name} }

func (simulated) Services(context.Context, string) (dns.Answer, error) {
	return dns.Answer{TTL: dns.SystemTTL}, nil
}

func (s simulated) Addrs(ctx context.Context, name string) (dns.Answer, error) {
	addrs, err := s.host.Resolve(ctx, net.JoinHostPort(name, "1"))
	a := dns.Answer{TTL: dns.SystemTTL}
	for _, ap := range addrs {
		a.Addrs = append(a.Addrs, ap.Addr())
	}
	return a, err
}
