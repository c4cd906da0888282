package mdns

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"example.com/tcpnet/discovery"
)

func TestPlace(t *testing.T) {
	up := net.FlagUp | net.FlagMulticast
	ifs := append(testInterfaces(),
		Interface{net.Interface{Index: 3, Name: "down", Flags: net.FlagMulticast}, []netip.Prefix{prefix("10.3.0.1/24")}},
		Interface{net.Interface{Index: 4, Name: "tun0", Flags: up | net.FlagPointToPoint}, []netip.Prefix{prefix("10.4.0.1/24")}},
		Interface{net.Interface{Index: 5, Name: "bare", Flags: up}, nil},
		Interface{net.Interface{Index: 6, Name: "wlan0", Flags: up}, []netip.Prefix{prefix("2001:db8::6/64"), prefix("fe80::6/64")}},
		Interface{net.Interface{Index: 7, Name: "nocast", Flags: net.FlagUp}, []netip.Prefix{prefix("10.7.0.1/24")}},
	)
	for _, test := range []struct {
		name   string
		listen []string
		filter func(net.Interface) bool
		addrs  string
		links  string
	}{
		{"all", nil, nil, "map[1:[127.0.0.1 ::1] 2:[10.0.0.5 fe80::5] 6:[fe80::6 2001:db8::6]]", "[{1 false} {2 false} {2 true} {6 true}]"},
		{"filtered", nil, loopbackOnly, "map[1:[127.0.0.1 ::1]]", "[{1 false}]"},
		{"loopback", []string{"127.0.0.1"}, nil, "map[1:[127.0.0.1]]", "[{1 false}]"},
		{"loopback, unlisted", []string{"127.0.0.9"}, nil, "map[1:[127.0.0.9]]", "[{1 false}]"},
		{"loopback, IPv6", []string{"::1"}, nil, "map[1:[::1]]", "[{1 false}]"},
		{"one address", []string{"10.0.0.5"}, nil, "map[2:[10.0.0.5]]", "[{2 false} {2 true}]"},
		{"mapped", []string{"::ffff:10.0.0.5"}, nil, "map[2:[10.0.0.5]]", "[{2 false} {2 true}]"},
		{"link-local", []string{"fe80::6%wlan0"}, nil, "map[6:[fe80::6]]", "[{6 true}]"},
		{"link-local elsewhere", []string{"fe80::6%eth0"}, nil, "map[]", "[]"},
		{"all of IPv4", []string{"0.0.0.0"}, nil, "map[1:[127.0.0.1] 2:[10.0.0.5]]", "[{1 false} {2 false} {2 true}]"},
		{"not here", []string{"192.0.2.1"}, nil, "map[]", "[]"},
		{"interface that is down", []string{"10.3.0.1"}, nil, "map[]", "[]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			self := discovery.Self{Interfaces: test.filter}
			for _, a := range test.listen {
				self.Addrs = append(self.Addrs, at(a))
			}
			addrs, links := place(self, ifs)
			if fmt.Sprint(addrs) != test.addrs || fmt.Sprint(links) != test.links {
				t.Errorf("got %v %v, want %s %s", addrs, links, test.addrs, test.links)
			}
		})
	}
}

func TestOnLink(t *testing.T) {
	nm := newNetmap(testInterfaces())
	for _, test := range []struct {
		addr  string
		index int
		want  string // empty: no
	}{
		{"10.0.0.9", 2, "10.0.0.9"},
		{"::ffff:10.0.0.9", 2, "10.0.0.9"},
		{"10.0.0.5", 2, "10.0.0.5"},
		{"10.0.1.9", 2, ""},
		{"10.0.0.255", 2, ""},
		{"fe80::9", 2, "fe80::9%eth0"},
		{"fe80::9%elsewhere", 2, "fe80::9%eth0"},
		{"2001:db8::9", 2, ""},
		{"127.0.0.1", 2, ""},
		{"::1", 2, ""},
		{"127.0.0.9", 1, "127.0.0.9"},
		{"::1", 1, "::1"},
		{"10.0.0.5", 1, "10.0.0.5"},
		{"10.0.0.9", 1, ""},
		{"fe80::5", 1, "fe80::5%eth0"},
		{"fe80::9", 1, ""},
		{"0.0.0.0", 1, ""},
		{"224.0.0.251", 2, ""},
		{"10.0.0.9", 9, ""},
	} {
		got, ok := nm.onLink(at(test.addr), test.index)
		if ok != (test.want != "") || ok && got.String() != test.want {
			t.Errorf("%s by %d: %v %v, want %q", test.addr, test.index, got, ok, test.want)
		}
	}
}
