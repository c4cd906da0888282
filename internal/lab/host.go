//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"slices"
)

// Host is a machine of the lab: a network namespace with loopback and an
// interface for each switch it is plugged into, eth0 being the first.
type Host struct {
	// Name is what the host was called.
	Name string

	lab    *Lab
	ns     *namespace
	number int // counts the hosts of the lab from 1
	noIPv4 bool

	// Guarded by the lab's mutex.
	ports   []*Port
	plugged int // ports so far
}

// Option says how a host is to be: a *[Switch] that it is plugged into, or one
// of the variables of this type.
type Option interface{ apply(*options) }

type options struct {
	switches []*Switch
	sysctls  map[string]string
	noIPv4   bool
}

type option func(*options)

func (f option) apply(o *options) { f(o) }

var (
	// NoIPv4 leaves the host with its IPv6 link-local addresses.
	NoIPv4 Option = option(func(o *options) { o.noIPv4 = true })

	// NoDAD makes IPv6 addresses usable at once. Otherwise duplicate address
	// detection holds them back for a second or two, as it does on any host
	// (RFC 4862, section 5.4).
	NoDAD Option = option(func(o *options) {
		o.sysctls["net/ipv6/conf/all/accept_dad"] = "0"
		o.sysctls["net/ipv6/conf/default/accept_dad"] = "0"
	})

	// NonLocalBind allows the host's programs to bind to addresses that the
	// host does not have.
	NonLocalBind Option = option(func(o *options) {
		o.sysctls["net/ipv4/ip_nonlocal_bind"] = "1"
		o.sysctls["net/ipv6/ip_nonlocal_bind"] = "1"
	})

	// Router makes the host forward packets between its switches. See
	// [Host.Gateway].
	Router Option = option(func(o *options) {
		o.sysctls["net/ipv4/ip_forward"] = "1"
		o.sysctls["net/ipv6/conf/all/forwarding"] = "1"
	})
)

// Host adds a host that is up and running when Host returns.
func (l *Lab) Host(name string, opts ...Option) *Host {
	l.t.Helper()
	o := options{sysctls: make(map[string]string)}
	for _, opt := range opts {
		opt.apply(&o)
	}
	ns, err := newNamespace(o.sysctls)
	l.must(err)
	h := &Host{Name: name, lab: l, ns: ns, noIPv4: o.noIPv4}
	l.mu.Lock()
	l.hosts = append(l.hosts, h)
	h.number = len(l.hosts)
	l.mu.Unlock()
	l.must(l.ip(ns, nil, "link set lo up"))
	for _, s := range o.switches {
		h.Plug(s)
	}
	return h
}

// Do calls f on a thread that is in the host, so that the sockets f opens are
// the host's, for as long as they live. Goroutines that f starts are not in the
// host, and neither is what package net does in goroutines of its own: dial
// addresses, not names.
func (h *Host) Do(f func() error) error { return h.ns.do(f) }

// IP has ip(8) carry out commands in the host, each as it would follow "ip " on
// a command line. It is the way to add and remove addresses and the like.
func (h *Host) IP(commands ...string) {
	h.lab.t.Helper()
	h.lab.must(h.lab.ip(h.ns, nil, commands...))
}

// Ports returns the host's interfaces on switches.
func (h *Host) Ports() []*Port {
	h.lab.mu.Lock()
	defer h.lab.mu.Unlock()
	return slices.Clone(h.ports)
}

// Addr returns the IPv4 address of the host's first port.
func (h *Host) Addr() netip.Addr { return h.first().Addr }

// LinkLocal returns the IPv6 link-local address of the host's first port,
// without a zone.
func (h *Host) LinkLocal() netip.Addr { return h.first().LinkLocal }

func (h *Host) first() *Port {
	h.lab.t.Helper()
	ports := h.Ports()
	if len(ports) == 0 {
		h.lab.t.Fatalf("lab: host %s is not plugged into a switch", h.Name)
	}
	return ports[0]
}

// Gateway has the hosts send all IPv4 that is not for one of their own subnets
// to h, a [Router] that shares a switch with each of them.
func (h *Host) Gateway(hosts ...*Host) {
	h.lab.t.Helper()
	for _, c := range hosts {
		near, far := between(c, h)
		if near == nil {
			h.lab.t.Fatalf("lab: %s and %s share no switch", c.Name, h.Name)
		}
		route := fmt.Sprintf("route replace default via %s dev %s", far.Addr, near.Name)
		h.lab.mu.Lock()
		near.routes = append(near.routes, route)
		h.lab.mu.Unlock()
		c.IP(route)
	}
}

// between returns a port of each host on the same switch, or nil.
func between(a, b *Host) (p, q *Port) {
	for _, p := range a.Ports() {
		for _, q := range b.Ports() {
			if p.Switch == q.Switch {
				return p, q
			}
		}
	}
	return nil, nil
}

// Docker gives the host what Docker does: an interface docker0 that is up, with
// an address, 172.17.0.1, that is the same on every host and leads nowhere.
func (h *Host) Docker() {
	h.lab.t.Helper()
	h.IP("link add name docker0 type bridge",
		"address add 172.17.0.1/16 brd + dev docker0",
		"link add name container type veth peer name veth0",
		"link set veth0 master docker0 up",
		"link set container up",
		"link set docker0 up")
}
