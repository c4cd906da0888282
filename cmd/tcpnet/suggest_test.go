package main

import "testing"

func TestSlips(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "ab", 2}, {"ab", "", 2}, {"seed", "seed", 0},
		{"sed", "seed", 1}, {"seeed", "seed", 1}, {"sead", "seed", 1}, {"jion", "join", 1},
		{"ca", "abc", 3}, {"kitten", "sitting", 3},
	} {
		if n := slips(test.a, test.b); n != test.want {
			t.Errorf("%q to %q: %d, want %d", test.a, test.b, n, test.want)
		}
	}
}

func TestWhatWasMeant(t *testing.T) {
	names := []string{"id", "addr", "seed", "secret-file", "timeout", "verbose", "v", "n"}
	for given, want := range map[string]string{
		"sed": "seed", "seeds": "seed", "SEED": "seed", "adr": "addr", "secretfile": "secret-file", "secret": "secret-file",
		"time": "timeout", "tiemout": "timeout", "i": "", "x": "", "vn": "", "xyz": "", "nonsense": "", "": "",
	} {
		if near := nearest(given, names); near != want {
			t.Errorf("%q: %q, want %q", given, near, want)
		}
	}
}
