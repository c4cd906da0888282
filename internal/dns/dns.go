// Package dns is a stub resolver that tells for how long an answer holds, which the
// standard library's does not. It asks the servers that it is told of, or that the
// system is set up with, by UDP and where need be by TCP, and believes them.
//
// What goes over the wire is in message.go and what resolv.conf says in config.go,
// both without a socket; exchange.go and client.go ask.
package dns

import (
	"net/netip"
	"time"
)

// Answer is what the DNS says of one name and type. One without any records says
// that there are none.
type Answer struct {
	Addrs    []netip.Addr  // of A and AAAA records
	Services []Service     // of SRV records
	TTL      time.Duration // for how long this holds
}

// Empty reports whether there are no records.
func (a *Answer) Empty() bool { return len(a.Addrs) == 0 && len(a.Services) == 0 }

// Service is what an SRV record says (RFC 2782).
type Service struct {
	Target string // a host, with a dot at the end
	Port   uint16

	// Addrs are the addresses of Target, where the answer tells them too.
	Addrs []netip.Addr
}
