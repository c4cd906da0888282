package link

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

// entries reads all PEERS frames of a stream.
func entries(t *testing.T, b []byte) (all []Entry, frames int) {
	t.Helper()
	fs, err := read(bytes.NewReader(b), MaxPayload)
	if err != io.EOF {
		t.Fatal(err)
	}
	for i, f := range fs {
		es, more, err := ParsePeers([]byte(f[1:]))
		if err != nil || more != (i < len(fs)-1) {
			t.Fatalf("frame %d of %d: more %v, %v", i, len(fs), more, err)
		}
		all = append(all, es...)
	}
	return all, len(fs)
}

func TestPeersRoundTrip(t *testing.T) {
	var many []Entry
	for i := range 5000 {
		many = append(many, Entry{ID: ID(fmt.Sprintf("%0128X", i)), Addrs: []netip.AddrPort{
			netip.MustParseAddrPort("10.0.0.1:80"), netip.MustParseAddrPort("[fe80::1]:81")}})
	}
	for _, want := range [][]Entry{nil, many[:1], {{ID: "A"}}, many} {
		got, frames := entries(t, AppendPeers(nil, want))
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%d entries became %d", len(want), len(got))
		}
		if frames == 0 || frames > 1+len(want)/300 {
			t.Errorf("%d entries in %d frames", len(want), frames)
		}
	}
}

func TestPeersRejects(t *testing.T) {
	whole := AppendPeers(nil, []Entry{{ID: "AB", Addrs: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:80")}}})[headerLen:]
	for n := range whole {
		if _, _, err := ParsePeers(whole[:n]); n != 1 && err == nil { // one byte is an empty list
			t.Errorf("%d of %d bytes are taken", n, len(whole))
		}
	}
	for _, bad := range []string{"\x00\x01G\x00", "\x00\x00\x00", "\x00\xff" + strings.Repeat("1", 200) + "\x00", "\x00\x01A\xff"} {
		if es, _, err := ParsePeers([]byte(bad)); !errors.Is(err, ErrProtocol) {
			t.Errorf("%q: %v, %v", bad, es, err)
		}
	}
}

func TestDigestDoesNotDependOnTheOrder(t *testing.T) {
	var a, b Digest
	for _, id := range []ID{"A", "B", "C"} {
		a.Toggle(id.Sum(), true)
	}
	for _, id := range []ID{"C", "D", "A", "B"} {
		b.Toggle(id.Sum(), true)
	}
	if a == b {
		t.Error("different nodes, the same digest")
	}
	if b.Toggle(ID("D").Sum(), false); a != b || a.Count != 3 {
		t.Errorf("%v and %v", a, b)
	}
}
