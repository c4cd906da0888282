//go:build linux

package lab

import "fmt"

// Cut is a way in which a cable is of no use.
type Cut int

const (
	// Silent loses all frames in the switch, both ways. Nobody can notice
	// but by not being answered.
	Silent Cut = iota + 1

	// NoCarrier pulls the cable out of the switch: the host sees its
	// interface without a carrier and keeps its addresses.
	NoCarrier

	// Down takes the interface down in the host, which loses its IPv6
	// addresses and routes, until Heal.
	Down
)

// Cut cuts the cable.
func (p *Port) Cut(how Cut) {
	l := p.Host.lab
	l.t.Helper()
	p.Heal()
	l.mu.Lock()
	p.cut = how
	l.mu.Unlock()
	switch how {
	case Silent:
		l.must(l.applyFaults())
	case NoCarrier:
		l.must(l.ip(l.floor, nil, fmt.Sprintf("link set %s down", p.end)))
	case Down:
		p.Host.IP(fmt.Sprintf("link set %s down", p.Name))
	}
}

// Heal mends the cable, if it was cut.
func (p *Port) Heal() {
	l := p.Host.lab
	l.t.Helper()
	l.mu.Lock()
	how, routes, static := p.cut, p.routes, l.static
	p.cut = 0
	l.mu.Unlock()
	switch how {
	case Silent:
		l.must(l.applyFaults())
	case NoCarrier:
		l.must(l.ip(l.floor, nil, fmt.Sprintf("link set %s up", p.end)))
		l.must(p.running())
	case Down:
		commands := append([]string{fmt.Sprintf("link set %s up", p.Name)}, routes...)
		if static {
			commands = append(commands, p.neighbours()...)
		}
		p.Host.IP(commands...)
		l.must(p.running())
	}
}

// Cut cuts all cables of the host.
func (h *Host) Cut(how Cut) {
	h.lab.t.Helper()
	for _, p := range h.Ports() {
		p.Cut(how)
	}
}

// Heal mends all cables of the host.
func (h *Host) Heal() {
	h.lab.t.Helper()
	for _, p := range h.Ports() {
		p.Heal()
	}
}
