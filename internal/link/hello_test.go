package link

import (
	"errors"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var fullHello = Hello{
	MinVersion: 1, MaxVersion: 3, Features: 5, Name: "füchse", ID: "0AF", Incarnation: Incarnation{1, 2}, Target: "1",
	Label: "kitchen", Meta: map[string]string{"k": "v", "empty": ""},
	Addrs:  []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:80"), netip.MustParseAddrPort("[fe80::1]:65535")},
	Digest: Digest{3, 1 << 50},
}

func TestHelloRoundTrip(t *testing.T) {
	least := Hello{MinVersion: 1, MaxVersion: 1, Name: "n", ID: "0"}
	longest := least
	longest.Label = strings.Repeat("l", MaxLabel)
	longest.Meta = map[string]string{strings.Repeat("k", 255): "v"}
	for _, h := range []Hello{fullHello, least, longest} {
		got, err := ParseHello(AppendHello(nil, &h)[headerLen:])
		if err != nil || !reflect.DeepEqual(*got, h) {
			t.Errorf("%+v became %+v, %v", h, got, err)
		}
	}
}

// field is one field of a HELLO.
func field(tag byte, v string) string {
	return string([]byte{tag, byte(len(v) >> 8), byte(len(v))}) + v
}

var required = map[string]string{
	"versions": field(1, "\x01\x01"), "name": field(3, "n"), "ID": field(4, "A"), "incarnation": field(5, strings.Repeat("i", 16)),
}

func TestHelloRejects(t *testing.T) {
	all := strings.Join(slices.Collect(maps.Values(required)), "")
	bad := map[string]string{
		"a field cut off":       all + "\x02\x00",
		"a field longer than p": all + "\x63\x00\x05abc",
		"short versions":        all + field(1, "\x01"),
		"short features":        all + field(2, "1234567"),
		"an empty name":         all + field(3, ""),
		"a long name":           all + field(3, strings.Repeat("n", 256)),
		"a name not UTF-8":      all + field(3, "\xff"),
		"an ID not hexadecimal": all + field(4, "XYZ"),
		"a long ID":             all + field(4, strings.Repeat("1", 129)),
		"an empty target":       all + field(6, ""),
		"a short incarnation":   all + field(5, "short"),
		"meta without a key":    all + field(8, ""),
		"meta cut off":          all + field(8, "\x05ab"),
		"too much meta":         all + strings.Repeat(field(8, "\x01k"+strings.Repeat("v", 1000)), 3),
	}
	for lacking := range required {
		var rest string
		for name, f := range required {
			if name != lacking {
				rest += f
			}
		}
		bad["no "+lacking] = rest
	}
	for name, p := range bad {
		if h, err := ParseHello([]byte(p)); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %+v, %v", name, h, err)
		}
	}
	if _, err := ParseHello([]byte(all)); err != nil {
		t.Error(err)
	}
}

func TestHelloSkipsAndRepeats(t *testing.T) {
	all := strings.Join(slices.Collect(maps.Values(required)), "")
	p := field(99, "unknown") + all + field(3, "last") + field(9, "\x0a\x00\x00\x01\x00\x50") +
		field(9, "\x00\x00\x00\x00\x00\x50") + field(9, "\x0a\x00\x00\x01\x00\x00") + field(9, "odd") +
		field(9, "\xe0\x00\x00\x01\x00\x50") + field(9, "\xff\xff\xff\xff\x00\x50") + field(7, "a\nb")
	h, err := ParseHello([]byte(p))
	if err != nil || h.Name != "last" || len(h.Addrs) != 1 || h.Label != "a b" {
		t.Errorf("%+v, %v", h, err)
	}
	h, err = ParseHello([]byte(all + strings.Repeat(field(9, "\x0a\x00\x00\x01\x00\x50"), 100)))
	if err != nil || len(h.Addrs) != MaxAddresses {
		t.Errorf("%d addresses, %v", len(h.Addrs), err)
	}
}

// The largest HELLO that a Config can ask for is read before admission.
func TestLargestHelloFits(t *testing.T) {
	h := Hello{Name: strings.Repeat("n", MaxName), ID: ID(strings.Repeat("F", MaxIDLen)), Target: ID(strings.Repeat("F", MaxIDLen)),
		Features: 1, Label: strings.Repeat("l", MaxLabel), Meta: map[string]string{"": strings.Repeat("v", MaxMeta-4)}}
	for range MaxAddresses {
		h.Addrs = append(h.Addrs, netip.MustParseAddrPort("[2001:db8::1]:1"))
	}
	b := AppendHello(nil, &h)
	if MetaLen(h.Meta) != MaxMeta || len(b)-headerLen > MaxPayloadBefore {
		t.Errorf("meta of %d, HELLO of %d bytes", MetaLen(h.Meta), len(b)-headerLen)
	}
	if _, err := ParseHello(b[headerLen:]); err != nil {
		t.Error(err)
	}
}
