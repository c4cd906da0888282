package mdns

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"example.com/tcpnet/internal/lab"
	"go.uber.org/goleak"
)

// Linux has room for 20 IPv4 memberships in a socket (igmp_max_memberships). A machine
// with more interfaces, such as many bridges of containers, hears on each all the same,
// and once, also on those that come last.
func TestMoreInterfacesThanMemberships(t *testing.T) {
	if !lab.InFreshNamespace(t) {
		return
	}
	defer goleak.VerifyNone(t)
	const pairs = 22
	for i := range pairs {
		lab.IP(t,
			fmt.Sprintf("link add v%d type veth peer name w%d", i, i),
			fmt.Sprintf("address add 10.%d.0.1/24 dev v%d", i, i), fmt.Sprintf("link set v%d up", i),
			fmt.Sprintf("address add 10.%d.0.2/24 dev w%d", i, i), fmt.Sprintf("link set w%d up", i))
	}
	all, err := host{}.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	var ifs []Interface
	for _, i := range all {
		for _, p := range i.Prefixes {
			if p.Addr().Is4() && !p.Addr().IsLoopback() {
				i.Prefixes = []netip.Prefix{p}
				ifs = append(ifs, i)
			}
		}
	}
	if len(ifs) != 2*pairs {
		t.Fatalf("%d interfaces", len(ifs))
	}

	heard := make(chan string, 100)
	port, err := openSockets(Port, func(p Packet) { heard <- fmt.Sprintf("%s by %d", p.Data, p.Index) })
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	join := func(ifs []Interface) {
		t.Helper()
		if err := port.Join(ifs); err != nil {
			t.Fatal(err)
		}
	}
	send := func(what string, i Interface) {
		t.Helper()
		if err := port.Send([]byte(what), i, group4); err != nil {
			t.Fatal(err)
		}
	}
	hears := func(what string, ifs []Interface) {
		t.Helper()
		for _, i := range ifs {
			send(what, i)
			select {
			case got := <-heard:
				if want := fmt.Sprintf("%s by %d", what, i.Index); got != want {
					t.Fatalf("heard %q, want %q", got, want)
				}
			case <-time.After(time.Second):
				t.Fatalf("%s: not heard by %d", what, i.Index)
			}
		}
	}
	join(ifs)
	hears("on all", ifs)
	join(ifs[pairs:])
	for _, i := range ifs[:pairs] {
		send("on those that were left", i)
	}
	hears("on half of them", ifs[pairs:])
	join(ifs)
	hears("on all again", ifs)
	if n := len(port.(*sockets).v4); n != 3 {
		t.Errorf("%d sockets", n)
	}
}
