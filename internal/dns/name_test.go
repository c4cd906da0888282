package dns

import (
	"errors"
	"strings"
	"testing"
)

func TestNamesAndPorts(t *testing.T) {
	long := strings.Repeat(strings.Repeat("x", 63)+".", 3) + strings.Repeat("y", 61)
	for text, want := range map[string]struct {
		name string
		port uint16
	}{
		"garden":                           {"garden", 0},
		"garden:4000":                      {"garden", 4000},
		"tcpnet.default.svc.cluster.local": {"tcpnet.default.svc.cluster.local", 0},
		"x.":                               {"x.", 0},
		"x.:1":                             {"x.", 1},
		"_a._tcp.B":                        {"_a._tcp.B", 0},
		"3-4.5":                            {"3-4.5", 0},
		"10.0.0.1.example":                 {"10.0.0.1.example", 0},
		"xn--bcher-kva.example":            {"xn--bcher-kva.example", 0},
		long:                               {long, 0},
		long + ".":                         {long + ".", 0},
	} {
		name, port, err := ParseName(text)
		if err != nil || name != want.name || port != want.port {
			t.Errorf("%q: %q, %d, %v", text, name, port, err)
		}
		if _, err := question(strings.TrimSuffix(text, ".")+".", 1); port == 0 && err != nil {
			t.Errorf("%q cannot be asked for: %v", text, err)
		}
	}
}

func TestNamesThatThereCannotBe(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "empty",
		".":                       "empty",
		":80":                     "empty",
		"a..b":                    "nothing between",
		".a":                      "nothing between",
		"a..":                     "nothing between",
		"n:":                      "number from 1 to 65535",
		"n:0":                     "number from 1 to 65535",
		"n:65536":                 "number from 1 to 65535",
		"n:http":                  "number from 1 to 65535",
		"http://n":                "number from 1 to 65535",
		strings.Repeat("x", 64):   "has 64 bytes, and at most 63",
		strings.Repeat("x.", 130): "has 259 bytes, and at most 253",
		"my garden":               `cannot have ' '`,
		" garden":                 `cannot have ' '`,
		"garden\n":                `cannot have '\n'`,
		"*.example":               `cannot have '*'`,
		"a/b":                     `cannot have '/'`,
		"a,b":                     `cannot have ','`,
		"bücher.example":          "xn--",
		"\xff":                    "xn--",
		"10.0.0":                  "at least one letter",
		"4000":                    "at least one letter",
	} {
		_, _, err := ParseName(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	for _, text := range []string{"10.0.0.1", "10.0.0.1:80", "10.0.0.1:x", "[fd00::1]:80", "[fd00::1]", "fd00::1", "fe80::1%eth0", "::"} {
		if _, _, err := ParseName(text); !errors.Is(err, ErrAddress) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
