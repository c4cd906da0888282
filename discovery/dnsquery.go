package discovery

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/tcpnet/internal/dns"
)

// dnsService is what SRV records of nodes are under (RFC 2782).
const dnsService = "_tcpnet._tcp."

// Bounds on what the DNS can make a node do.
const (
	maxDNSTargets = 256  // hosts of SRV records
	maxDNSAddrs   = 1024 // as many as a node takes
	dnsAtOnce     = 8    // hosts that are looked up at a time
)

// A dnsQuery is a name to look up.
type dnsQuery struct {
	name string
	port uint16 // of A and AAAA records; 0: SRV records, and own without any
	own  uint16 // the node's port
	hit  string // the full name that had records last
}

// resolve looks the name up. Along with an error there may be addresses, which need
// not be all; without one, ttl says for how long these are all.
func (q *dnsQuery) resolve(ctx context.Context, r resolver) (found []netip.AddrPort, ttl time.Duration, err error) {
	names := r.Names(q.name)
	if i := slices.Index(names, q.hit); i > 0 { // it probably has some still
		names = slices.Insert(slices.Delete(slices.Clone(names), i, i+1), 0, q.hit)
	}
	none := time.Duration(-1) // for how long there is nothing
	var errs []error
	gone := false // what there was last
	for _, full := range names {
		found, ttl, err := q.at(ctx, r, full)
		if len(found) > 0 {
			q.hit = full
			return found, ttl, err
		}
		if err == nil && full == q.hit {
			gone = true
		}
		if err != nil {
			errs = append(errs, err)
		} else if none < 0 || ttl < none {
			none = ttl
		}
		if ctx.Err() != nil {
			break
		}
	}
	if gone { // what else the name may stand for does not matter so much
		return nil, max(none, 0), nil
	}
	return nil, max(none, 0), errors.Join(errs...)
}

// at looks up a full name.
func (q *dnsQuery) at(ctx context.Context, r resolver, full string) (found []netip.AddrPort, ttl time.Duration, err error) {
	if q.port != 0 {
		a, err := r.Addrs(ctx, full)
		return atPort(a.Addrs, q.port), a.TTL, err
	}
	none := time.Duration(-1)
	var errs []error // what could not be asked for: there may be more than is found
	for _, prefix := range []string{dnsService, ""} {
		if prefix != "" && strings.HasPrefix(full, "_") { // it names a service itself
			continue
		}
		a, err := r.Services(ctx, prefix+full)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if len(a.Services) > 0 {
			found, ttl, err := q.targets(ctx, r, a)
			return found, ttl, errors.Join(append(errs, err)...)
		}
		if none < 0 || a.TTL < none {
			none = a.TTL
		}
	}
	a, err := r.Addrs(ctx, full)
	if a.Empty() {
		a.TTL = min(a.TTL, none)
	}
	return atPort(a.Addrs, q.own), a.TTL, errors.Join(append(errs, err)...)
}

// targets looks up the hosts of SRV records whose addresses did not come with them.
func (q *dnsQuery) targets(ctx context.Context, r resolver, a dns.Answer) ([]netip.AddrPort, time.Duration, error) {
	type host struct {
		addrs []netip.Addr
		ttl   time.Duration
		err   error
	}
	hosts := make(map[string]*host)
	for _, s := range a.Services {
		if s.Target != "." && s.Port != 0 && hosts[s.Target] == nil && len(hosts) < maxDNSTargets {
			hosts[s.Target] = &host{addrs: s.Addrs, ttl: a.TTL}
		}
	}
	var wg sync.WaitGroup
	room := make(chan struct{}, dnsAtOnce)
	for name, h := range hosts {
		if len(h.addrs) > 0 {
			continue
		}
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			x, err := r.Addrs(ctx, name)
			h.addrs, h.ttl, h.err = x.Addrs, x.TTL, err
		})
	}
	wg.Wait()
	var found []netip.AddrPort
	var errs []error
	ttl := a.TTL
	for _, h := range hosts {
		if h.err != nil {
			errs = append(errs, h.err)
		}
		ttl = min(ttl, h.ttl)
	}
	for _, s := range a.Services {
		if h := hosts[s.Target]; h != nil && s.Port != 0 {
			found = append(found, atPort(h.addrs, s.Port)...)
		}
	}
	return bounded(found), ttl, errors.Join(errs...)
}

// atPort returns the addresses that can be dialled, at a port.
func atPort(ips []netip.Addr, port uint16) (out []netip.AddrPort) {
	for _, ip := range ips {
		if !ip.IsUnspecified() && !ip.IsMulticast() && port != 0 {
			out = append(out, netip.AddrPortFrom(ip, port))
		}
	}
	return bounded(out)
}

// bounded returns the addresses in order, each of them once, and not too many.
func bounded(addrs []netip.AddrPort) []netip.AddrPort {
	slices.SortFunc(addrs, netip.AddrPort.Compare)
	addrs = slices.Compact(addrs)
	return addrs[:min(len(addrs), maxDNSAddrs)]
}

// When it is asked again after a failure, doubling from the first.
const dnsRetryFirst = time.Second

// refresh says when the DNS is to be asked again.
type refresh struct {
	least, most time.Duration
	failures    int // in a row
}

// next returns how long to wait after an answer that holds for ttl, or a failure: at
// random a little longer than the TTL, so that nodes started together do not ask
// together for ever.
func (r *refresh) next(ttl time.Duration, err error) time.Duration {
	if err != nil {
		d := min(dnsRetryFirst<<min(r.failures, 16), r.most)
		r.failures++
		return d/2 + rand.N(d/2+1)
	}
	r.failures = 0
	d := min(max(ttl, r.least), r.most)
	return d + rand.N(d/10+1)
}
