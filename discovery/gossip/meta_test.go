package gossip

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/hashicorp/memberlist"

	"example.com/tcpnet/discovery"
)

func addrs(texts ...string) (out []netip.Addr) {
	for _, s := range texts {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func TestMetadataIsTakenApartAsItWasPutTogether(t *testing.T) {
	a := newEntry(discovery.Self{Cluster: "garden", ID: "AB", Port: 4000})
	b := newEntry(discovery.Self{Cluster: "größe", ID: "CD", Port: 1, Addrs: addrs("10.0.0.1", "fd00::1")})
	for _, own := range []string{"", "the program's own", "ends with the mark tcpnet\x01"} {
		for _, entries := range [][]entry{nil, {a}, {b, a}} {
			meta := join([]byte(own), entries)
			before, got := split(meta)
			if m := (&memberlist.Node{Meta: meta}); string(Meta(m)) != own {
				t.Errorf("Meta is %q, want %q", Meta(m), own)
			}
			if string(before) != own || !reflect.DeepEqual(got, entries) {
				t.Errorf("%q and %+v become %q and %+v", own, entries, before, got)
			}
		}
	}
}

func TestADefaultNodeTakesLittleRoom(t *testing.T) {
	e := newEntry(discovery.Self{Cluster: "garden", ID: "0123456789ABCDEF0123456789ABCDEF", Port: 4000})
	if n := len(join(nil, []entry{e})); n > 60 {
		t.Errorf("%d bytes", n)
	}
}

func TestWhereANodeIs(t *testing.T) {
	member := net.ParseIP("10.0.0.9")
	for _, test := range []struct {
		listens []netip.Addr
		port    uint16
		want    string
	}{
		{nil, 4000, "[10.0.0.9:4000]"},
		{addrs("10.1.0.1", "fd00::1"), 4000, "[10.1.0.1:4000 [fd00::1]:4000]"},
		{addrs("fe80::1%eth0"), 4000, ""}, // means nothing elsewhere
		{nil, 0, ""},
	} {
		e := newEntry(discovery.Self{Cluster: "x", ID: "A", Port: test.port, Addrs: test.listens})
		_, entries := split(join(nil, []entry{e}))
		c, ok := entries[0].candidate(member)
		got := ""
		if ok {
			got = fmt.Sprint(c.Addrs)
		}
		if got != test.want || ok && c.ID != "A" {
			t.Errorf("listening on %v, port %d: %s, want %s", test.listens, test.port, got, test.want)
		}
	}
	e := newEntry(discovery.Self{Cluster: "x", ID: "A", Port: 1})
	if _, ok := e.candidate(nil); ok {
		t.Error("a member without an address has a candidate")
	}
}

func FuzzSplit(f *testing.F) {
	e := newEntry(discovery.Self{Cluster: "x", ID: "AB", Port: 1, Addrs: addrs("10.0.0.1")})
	f.Add(join([]byte("own"), []entry{e, e}))
	f.Add([]byte("\x00\x00" + mark))
	f.Add([]byte("\xff\xff" + mark))
	f.Fuzz(func(t *testing.T, meta []byte) {
		before, entries := split(meta)
		if !bytes.HasPrefix(meta, before) || len(entries) > maxEntries {
			t.Fatalf("%q becomes %q and %d entries", meta, before, len(entries))
		}
		for _, e := range entries {
			e.candidate(net.IPv4(10, 0, 0, 1))
		}
		if again, same := split(join(slices.Clone(before), entries)); len(entries) > 0 && (!bytes.Equal(again, before) || !reflect.DeepEqual(same, entries)) {
			t.Fatalf("%q is not what it was", meta)
		}
	})
}
