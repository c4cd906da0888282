package main

import (
	"strings"
	"testing"

	"example.com/tcpnet"
)

// Who looked for nodes by a name in the DNS is told to look there too, and nobody else.
func TestTheHintNamesTheDNS(t *testing.T) {
	if hint := whyMissing(tcpnet.Status{}, nil); !strings.Contains(hint, "UDP 5353") || strings.Contains(hint, "DNS") {
		t.Error(hint)
	}
	hint := whyMissing(tcpnet.Status{}, []string{"garden.example.org:4000", "other"})
	for _, want := range []string{"UDP 5353", "--dns garden.example.org:4000, other.", "AAAA records"} {
		if !strings.Contains(hint, want) {
			t.Errorf("no %q in %s", want, hint)
		}
	}
}
