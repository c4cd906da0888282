//go:build linux

package lab

import (
	"fmt"
	"sync"
)

// Neighbours tells all hosts for good which MAC addresses the others on their
// switches have, those of IPv4 and of IPv6 addresses.
//
// The kernel remembers that for all hosts of the machine together in one table
// per family of 1,024 entries (gc_thresh3). From 33 hosts that all talk to one
// another on, the table is too small, and packets get lost at random. Entries
// that were made by hand do not count. Call it when all hosts are there; for
// hosts that come later, call it again.
func (l *Lab) Neighbours() {
	l.t.Helper()
	l.mu.Lock()
	l.static = true
	l.mu.Unlock()
	hosts := l.Hosts()
	errs := make([]error, len(hosts))
	var all sync.WaitGroup
	for i, h := range hosts {
		all.Go(func() {
			var commands []string
			for _, p := range h.Ports() {
				commands = append(commands, p.neighbours()...)
			}
			errs[i] = l.ip(h.ns, nil, commands...)
		})
	}
	all.Wait()
	for _, err := range errs {
		l.must(err)
	}
}

// neighbours returns the commands that enter all other ports of p's switch.
func (p *Port) neighbours() []string {
	var commands []string
	for _, q := range p.Switch.Ports() {
		if q == p {
			continue
		}
		commands = append(commands, fmt.Sprintf("neighbour replace %s lladdr %s dev %s nud permanent", q.LinkLocal, q.HardwareAddr, p.Name))
		if q.Addr.IsValid() && p.Addr.IsValid() {
			commands = append(commands, fmt.Sprintf("neighbour replace %s lladdr %s dev %s nud permanent", q.Addr, q.HardwareAddr, p.Name))
		}
	}
	return commands
}
