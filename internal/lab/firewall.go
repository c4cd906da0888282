//go:build linux

package lab

import (
	"fmt"
	"strings"
)

// Rule is a rule of a host's own firewall: nftables statements for packets that
// come in from the network and for packets that leave for it. Either may be
// empty.
type Rule struct{ In, Out string }

var (
	// NoInboundTCP drops attempts to connect to the host. It can still
	// connect to others.
	NoInboundTCP = Rule{In: "tcp flags & (syn | ack) == syn drop"}

	// NoOutboundTCP drops the host's attempts to connect to others.
	NoOutboundTCP = Rule{Out: "tcp flags & (syn | ack) == syn drop"}

	// RefuseTCP answers attempts to connect to the host with a reset.
	RefuseTCP = Rule{In: "tcp flags & (syn | ack) == syn reject with tcp reset"}

	// NoMDNS drops multicast DNS: UDP to and from port 5353.
	NoMDNS = Rule{In: "udp dport 5353 drop; udp sport 5353 drop", Out: "udp dport 5353 drop; udp sport 5353 drop"}

	// NoMulticast drops all UDP sent to a group. Neighbour discovery works.
	NoMulticast = Rule{
		In:  "meta l4proto udp ip daddr 224.0.0.0/4 drop; meta l4proto udp ip6 daddr ff00::/8 drop",
		Out: "meta l4proto udp ip daddr 224.0.0.0/4 drop; meta l4proto udp ip6 daddr ff00::/8 drop",
	}
)

// Firewall replaces the rules of the host's firewall; without rules, everything
// passes. Loopback is not affected.
func (h *Host) Firewall(rules ...Rule) {
	h.lab.t.Helper()
	var in, out strings.Builder
	for _, r := range rules {
		fmt.Fprintln(&in, strings.ReplaceAll(r.In, ";", "\n"))
		fmt.Fprintln(&out, strings.ReplaceAll(r.Out, ";", "\n"))
	}
	h.lab.must(h.lab.nft(h.ns, fmt.Sprintf(`
table inet firewall
delete table inet firewall
table inet firewall {
	chain input {
		type filter hook input priority 0; policy accept;
		iifname "lo" accept
		%s
	}
	chain output {
		type filter hook output priority 0; policy accept;
		oifname "lo" accept
		%s
	}
}
`, in.String(), out.String())))
}
