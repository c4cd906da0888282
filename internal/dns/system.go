package dns

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"
)

// System asks by means of the standard library, for systems that do not say whom to
// ask. It is not told how long answers hold, and takes SystemTTL for it.
type System struct{}

// SystemTTL is for how long an answer of [System] is taken to hold.
const SystemTTL = 30 * time.Second

// Names returns name: completing it is left to the system.
func (System) Names(name string) []string { return []string{name} }

// Services asks for SRV records.
func (System) Services(ctx context.Context, name string) (Answer, error) {
	_, records, err := net.DefaultResolver.LookupSRV(ctx, "", "", name)
	a := Answer{TTL: SystemTTL}
	for _, r := range records {
		a.Services = append(a.Services, Service{Target: strings.ToLower(r.Target), Port: r.Port})
	}
	return a, unlessNone(err)
}

// Addrs asks for A and AAAA records.
func (System) Addrs(ctx context.Context, name string) (Answer, error) {
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	a := Answer{TTL: SystemTTL}
	for _, ip := range ips {
		a.Addrs = append(a.Addrs, ip.Unmap())
	}
	return a, unlessNone(err)
}

// unlessNone returns err unless it says that there is nothing of the name.
func unlessNone(err error) error {
	var d *net.DNSError
	if errors.As(err, &d) && d.IsNotFound {
		return nil
	}
	return err
}
