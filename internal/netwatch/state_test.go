package netwatch

import (
	"net"
	"net/netip"
	"testing"
)

func prefixes(s ...string) (p []netip.Prefix) {
	for _, s := range s {
		p = append(p, netip.MustParsePrefix(s))
	}
	return p
}

func TestEqual(t *testing.T) {
	base := func() State {
		return State{
			{net.Interface{Index: 1, Name: "lo", Flags: net.FlagUp}, prefixes("127.0.0.1/8")},
			{net.Interface{Index: 2, Name: "eth0", HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1}}, nil},
		}
	}
	for _, c := range []struct {
		name   string
		change func(s State) State
		equal  bool
	}{
		{"nothing", func(s State) State { return s }, true},
		{"empty list of addresses", func(s State) State { s[1].Prefixes = []netip.Prefix{}; return s }, true},
		{"interface gone", func(s State) State { return s[:1] }, false},
		{"interface new", func(s State) State { return append(s, Interface{}) }, false},
		{"replaced under the same name", func(s State) State { s[1].Index = 3; return s }, false},
		{"renamed", func(s State) State { s[1].Name = "wlan0"; return s }, false},
		{"up", func(s State) State { s[1].Flags |= net.FlagUp; return s }, false},
		{"other card", func(s State) State { s[1].HardwareAddr[5]++; return s }, false},
		{"address new", func(s State) State { s[1].Prefixes = prefixes("fe80::1/64"); return s }, false},
		{"other subnet", func(s State) State { s[0].Prefixes = prefixes("127.0.0.1/16"); return s }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := base().Equal(c.change(base())); got != c.equal {
				t.Errorf("Equal = %v, want %v", got, c.equal)
			}
		})
	}
}

func TestNormalize(t *testing.T) {
	got := State{
		{net.Interface{Index: 7}, prefixes("fe80::1/64", "10.0.0.2/16", "10.0.0.1/16", "10.0.0.2/16")},
		{net.Interface{Index: 2}, nil},
	}.normalize()
	want := State{
		{net.Interface{Index: 2}, nil},
		{net.Interface{Index: 7}, prefixes("10.0.0.1/16", "10.0.0.2/16", "fe80::1/64")},
	}
	if !got.Equal(want) {
		t.Errorf("normalize: %v, want %v", got, want)
	}
}

func TestPortableSnapshotPrefixes(t *testing.T) {
	for _, c := range []struct {
		addr net.Addr
		want string // or empty if left out
	}{
		{&net.IPNet{IP: net.IPv4(10, 1, 2, 3), Mask: net.CIDRMask(16, 32)}, "10.1.2.3/16"},
		{&net.IPNet{IP: net.IPv4(10, 1, 2, 3), Mask: net.CIDRMask(112, 128)}, "10.1.2.3/16"},
		{&net.IPNet{IP: net.ParseIP("fe80::1"), Mask: net.CIDRMask(64, 128)}, "fe80::1/64"},
		{&net.IPNet{IP: net.IPv4(10, 1, 2, 3), Mask: net.IPMask{255, 0, 255, 0}}, ""},
		{&net.IPNet{}, ""},
		{&net.TCPAddr{IP: net.IPv4(10, 1, 2, 3)}, ""},
	} {
		got, ok := prefixOf(c.addr)
		if ok != (c.want != "") || ok && got.String() != c.want {
			t.Errorf("prefixOf(%v) = %v, %v; want %q", c.addr, got, ok, c.want)
		}
	}
}
