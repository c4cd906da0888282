package tcpnet

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"example.com/tcpnet/internal/link"
	"example.com/tcpnet/internal/mesh"
)

func TestNamesOfPeers(t *testing.T) {
	nodes := []mesh.Peer{
		{ID: "A1", Label: "kitchen-pi"},
		{ID: "B2", Label: "twin"},
		{ID: "C3", Label: "twin"},
		{ID: "D4", Label: "A1"}, // looks like the first one's ID
		{ID: "E5", Label: "printer.local"},
		{ID: "F6", Label: "Office"},
		{ID: "07", Label: "office"},
		{ID: "08", Label: "rack:3"},
		{ID: "09", Label: "odd.mesh"},
		{ID: "0A"},
	}
	for name, want := range map[string]link.ID{
		"kitchen-pi":            "A1",
		"KITCHEN-pi":            "A1",
		"kitchen-pi.mesh":       "A1",
		"kitchen-pi.mesh:80":    "A1",
		"kitchen-pi.MESH:https": "A1",
		"kitchen-pi:80":         "A1",
		"A1":                    "A1",
		"a1.mesh:http":          "A1",
		"B2":                    "B2",
		"C3.mesh":               "C3",
		"printer.local":         "E5",
		"printer.local.mesh:1":  "E5",
		"Office":                "F6",
		"office":                "07",
		"rack:3":                "08",
		"odd.mesh":              "09",
		"0a":                    "0A",
		"":                      "",
		".mesh":                 "",
		"nobody":                "",
		"BEEF":                  "",
		"kitchen-pi.other":      "",
	} {
		if id, err := findPeer(name, nodes); err != nil || id != want {
			t.Errorf("%q is %q, %v; want %q", name, id, err, want)
		}
	}
	for name, ids := range map[string][]string{"twin": {"B2", "C3"}, "twin.mesh:80": {"B2", "C3"}, "OFFICE": {"F6", "07"}} {
		_, err := findPeer(name, nodes)
		if !errors.Is(err, ErrAmbiguous) {
			t.Errorf("%q: %v", name, err)
			continue
		}
		for _, id := range ids {
			if !strings.Contains(err.Error(), id) {
				t.Errorf("%q: %v does not name %s", name, err, id)
			}
		}
	}
}

func TestErrorsNameAFewNodesAlone(t *testing.T) {
	var nodes []mesh.Peer
	for i := range 20 {
		nodes = append(nodes, mesh.Peer{ID: link.ID(fmt.Sprintf("%02X", i)), Label: "x"})
	}
	if s := nameAll(nodes); strings.Count(s, `("x")`) != maxNamed || !strings.HasSuffix(s, "and 12 more") {
		t.Error(s)
	}
}
