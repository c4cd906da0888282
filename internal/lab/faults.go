//go:build linux

package lab

import (
	"fmt"
	"math"
	"strings"
)

// faults is what the switches do to frames between ports. Nobody notices but
// by what does not arrive.
type faults struct {
	groups  [][]*Host
	blocked [][2]*Host
	loss    float64 // percent
	applied string  // the rules as they are in force
}

// Split parts the network silently: hosts of different groups do not reach one
// another. Hosts in no group reach everybody. It replaces an earlier split.
func (l *Lab) Split(groups ...[]*Host) {
	l.t.Helper()
	l.setFaults(func(f *faults) { f.groups = groups })
}

// Block loses all frames from one host to another. The other direction works.
func (l *Lab) Block(from, to *Host) {
	l.t.Helper()
	l.setFaults(func(f *faults) { f.blocked = append(f.blocked, [2]*Host{from, to}) })
}

// Loss has the switches lose a share of all frames, ARP and neighbour discovery
// included: each receiver of a multicast frame loses its own. The unit is
// percent, to two decimals; 0 is the end of it.
//
// A frame of a fast TCP connection may be a bundle of many packets, which the
// receiver's kernel would have split.
func (l *Lab) Loss(percent float64) {
	l.t.Helper()
	l.setFaults(func(f *faults) { f.loss = percent })
}

// Heal ends splits, blocks and loss, and mends all cables.
func (l *Lab) Heal() {
	l.t.Helper()
	l.setFaults(func(f *faults) { f.groups, f.blocked, f.loss = nil, nil, 0 })
	for _, h := range l.Hosts() {
		h.Heal()
	}
}

func (l *Lab) setFaults(change func(*faults)) {
	l.t.Helper()
	l.mu.Lock()
	change(&l.faults)
	l.mu.Unlock()
	l.must(l.applyFaults())
}

// applyFaults brings the rules in force up to date, in one step.
func (l *Lab) applyFaults() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	rules := l.rules()
	if rules == l.faults.applied {
		return nil
	}
	err := l.nft(l.floor, "table bridge faults\ndelete table bridge faults\n"+rules)
	if err == nil {
		l.faults.applied = rules
	}
	return err
}

// rules returns the nftables table for the faults, or nothing if there are
// none. The mutex is held.
func (l *Lab) rules() string {
	if !l.faulty() {
		return ""
	}
	var sets, drops strings.Builder
	// set defines a set of ports and returns its name.
	set := func(name string, hosts []*Host, which func(*Port) bool) string {
		var ends []string
		for _, h := range hosts {
			for _, p := range h.ports {
				if which(p) {
					ends = append(ends, fmt.Sprintf("%q", p.end))
				}
			}
		}
		elements := ""
		if len(ends) > 0 {
			elements = fmt.Sprintf("elements = { %s };", strings.Join(ends, ", "))
		}
		fmt.Fprintf(&sets, "set %s { type ifname; %s }\n", name, elements)
		return name
	}
	all := func(*Port) bool { return true }

	silent := set("silent", l.hosts, func(p *Port) bool { return p.cut == Silent })
	fmt.Fprintf(&drops, "iifname @%s drop\noifname @%s drop\n", silent, silent)

	var groups []string
	for i, g := range l.faults.groups {
		groups = append(groups, set(fmt.Sprintf("group%d", i), g, all))
	}
	for _, from := range groups {
		for _, to := range groups {
			if from != to {
				fmt.Fprintf(&drops, "iifname @%s oifname @%s drop\n", from, to)
			}
		}
	}
	for i, b := range l.faults.blocked {
		from := set(fmt.Sprintf("from%d", i), b[:1], all)
		to := set(fmt.Sprintf("to%d", i), b[1:], all)
		fmt.Fprintf(&drops, "iifname @%s oifname @%s drop\n", from, to)
	}
	switch share := int(math.Round(l.faults.loss * 100)); {
	case share >= 10000:
		fmt.Fprintln(&drops, "drop")
	case share > 0:
		fmt.Fprintf(&drops, "numgen random mod 10000 < %d drop\n", share)
	}
	return fmt.Sprintf("table bridge faults {\n%schain forward {\ntype filter hook forward priority 0; policy accept;\n%s}\n}\n", sets.String(), drops.String())
}

// faulty reports whether there is any fault in the switches. The mutex is held.
func (l *Lab) faulty() bool {
	if f := l.faults; len(f.groups) > 0 || len(f.blocked) > 0 || f.loss > 0 {
		return true
	}
	for _, h := range l.hosts {
		for _, p := range h.ports {
			if p.cut == Silent {
				return true
			}
		}
	}
	return false
}
