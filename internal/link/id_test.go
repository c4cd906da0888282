package link

import (
	"crypto/rand"
	"slices"
	"strings"
	"testing"
)

func TestIDsCompareAsNumbersThenByLength(t *testing.T) {
	ordered := []ID{"0", "00", "1", "01", "9", "A", "0A", "00A", "B", "F", "10", "010", "FF", "100", ID(strings.Repeat("F", 128))}
	for i, a := range ordered {
		for j, b := range ordered {
			if got, want := a.Compare(b), min(max(i-j, -1), 1); got != want {
				t.Errorf("%s.Compare(%s) = %d, want %d", a, b, got, want)
			}
		}
	}
	if !slices.IsSortedFunc(ordered, ID.Compare) {
		t.Error("not sorted")
	}
}

func TestParseID(t *testing.T) {
	for in, want := range map[string]ID{"a": "A", "0aF": "0AF", strings.Repeat("9", 128): ID(strings.Repeat("9", 128))} {
		if got, err := ParseID(in); err != nil || got != want {
			t.Errorf("ParseID(%q) = %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "G", " A", "0x1", "A\x00", "É", "-1", strings.Repeat("1", 129)} {
		if got, err := ParseID(in); err == nil {
			t.Errorf("ParseID(%q) = %q, want an error", in, got)
		}
	}
	if id := NewID(rand.Reader); len(id) != 32 || id == NewID(rand.Reader) {
		t.Errorf("NewID() = %q", id)
	}
}
