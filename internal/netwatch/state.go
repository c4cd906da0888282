package netwatch

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
)

// Interface is a network interface with its addresses.
type Interface struct {
	net.Interface

	// Prefixes are the interface's usable addresses, each with the length of
	// its subnet's prefix and without a zone, in ascending order.
	Prefixes []netip.Prefix
}

// State is the network as a machine sees it: its interfaces, whether they are
// up or not, ordered by index. It is not modified once made.
type State []Interface

// Equal reports whether s and o describe the same interfaces with the same
// names, flags and addresses.
func (s State) Equal(o State) bool {
	return slices.EqualFunc(s, o, Interface.equal)
}

func (i Interface) equal(o Interface) bool {
	return i.Index == o.Index && i.Name == o.Name && i.Flags == o.Flags && i.MTU == o.MTU &&
		bytes.Equal(i.HardwareAddr, o.HardwareAddr) && slices.Equal(i.Prefixes, o.Prefixes)
}

// normalize brings s, as a platform reported it, into its documented order.
func (s State) normalize() State {
	slices.SortFunc(s, func(a, b Interface) int { return a.Index - b.Index })
	for i := range s {
		slices.SortFunc(s[i].Prefixes, netip.Prefix.Compare)
		s[i].Prefixes = slices.Compact(s[i].Prefixes)
	}
	return s
}
