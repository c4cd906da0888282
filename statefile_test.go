package tcpnet

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var stateNow = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func stateOf(id ID, age time.Duration, addrs ...string) statePeer {
	p := statePeer{ID: id, Seen: stateNow.Add(-age)}
	for _, a := range addrs {
		p.Addrs = append(p.Addrs, netip.MustParseAddrPort(a))
	}
	return p
}

func stateText(peers []statePeer) string {
	var s []string
	for _, p := range peers {
		s = append(s, fmt.Sprintf("%s%v%v", p.ID, p.Addrs, stateNow.Sub(p.Seen)))
	}
	return strings.Join(s, " ")
}

func TestStateIsReadAsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	all := []statePeer{
		stateOf("A", time.Minute, "10.0.0.1:80", "[fe80::1%eth0]:80"),
		stateOf("B", time.Hour, "[fd00::1]:80"),
	}
	all[0].Label = "a <label> with \"quotes\""
	if err := writeState(path, "garden", all); err != nil {
		t.Fatal(err)
	}
	got, err := readState(path, "garden", stateNow)
	if err != nil || stateText(got) != stateText(all) || got[0].Label != all[0].Label {
		t.Errorf("%+v, %v", got, err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
	// A second time it is replaced, and nothing else is left in the directory.
	if err := writeState(path, "garden", all[:1]); err != nil {
		t.Fatal(err)
	}
	if got, err := readState(path, "garden", stateNow); err != nil || len(got) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
		t.Errorf("%v, %v", files, err)
	}
}

func TestAStateFileThatCannotBeWrittenStaysAsItWas(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	if err := os.MkdirAll(filepath.Join(path, "x"), 0o700); err != nil { // cannot be replaced
		t.Fatal(err)
	}
	if err := writeState(path, "garden", nil); err == nil {
		t.Error("no error")
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("%v, %v", files, err)
	}
	if err := writeState(filepath.Join(dir, "missing", "state"), "garden", nil); err == nil {
		t.Error("no error without a directory")
	}
}

func TestWithoutAStateFileThereIsNothingToRemember(t *testing.T) {
	if got, err := readState(filepath.Join(t.TempDir(), "state"), "garden", stateNow); got != nil || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}

func TestStateFilesThatAreOfNoUse(t *testing.T) {
	good := `{"version":1,"name":"garden","peers":[{"id":"A","addrs":["10.0.0.1:80"],"seen":"2026-05-01T11:00:00Z"}]}`
	if got, err := parseState([]byte(good), "garden", stateNow); err != nil || stateText(got) != "A[10.0.0.1:80]1h0m0s" {
		t.Fatalf("%s, %v", stateText(got), err)
	}
	for i := range good { // half of one
		if _, err := parseState([]byte(good[:i]), "garden", stateNow); err == nil {
			t.Errorf("%q is taken", good[:i])
		}
	}
	for text, want := range map[string]string{
		"[]": "damaged", "{}": "damaged", "null": "damaged", "\x00\x00\x00": "damaged",
		`{"version":1,"name":"kitchen"}`:                                      errOtherCluster.Error(),
		`{"version":2,"name":"garden"}`:                                       errNewerState.Error(),
		`{"version":1,"name":"garden","peers":[{"addrs":["nowhere"]}]}`:       "damaged",
		`{"version":1,"name":"garden","peers":"` + strings.Repeat("x", 1<<20): "more than",
	} {
		if _, err := parseState([]byte(text), "garden", stateNow); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v, want %q", text, err, want)
		}
	}
	if _, err := parseState([]byte(`{"version":1,"name":"kitchen"}`), "garden", stateNow); !errors.Is(err, errOtherCluster) {
		t.Error(err)
	}
}

func TestEntriesThatMakeNoSenseAreLeftOut(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat(`"10.0.0.9:80",`, 100), ",")
	text := `{"version":1,"name":"garden","unknown":[1],"peers":[
		{"id":"XYZ","addrs":["10.0.0.1:80"],"seen":"2026-05-01T11:00:00Z"},
		{"id":"B","addrs":[],"seen":"2026-05-01T11:00:00Z"},
		{"id":"C","addrs":["10.0.0.1:0",""],"seen":"2026-05-01T11:00:00Z"},
		{"id":"D","addrs":["10.0.0.4:80"],"seen":"2026-03-01T11:00:00Z"},
		{"id":"e","addrs":["10.0.0.5:80"],"seen":"2036-03-01T11:00:00Z"},
		{"id":"F","addrs":[` + many + `],"seen":"2026-05-01T12:00:00Z"}]}`
	got, err := parseState([]byte(text), "garden", stateNow)
	if err != nil || len(got) != 2 || stateText(got[:1]) != "E[10.0.0.5:80]0s" || len(got[1].Addrs) != maxStateAddrs {
		t.Errorf("%s, %v", stateText(got), err)
	}
}

func TestWhatIsRemembered(t *testing.T) {
	lately := map[ID]statePeer{
		"A": stateOf("A", 0, "10.0.0.1:80"),
		"B": stateOf("B", time.Minute, "10.0.0.2:80", "172.17.0.1:80"),
	}
	for _, test := range []struct {
		why    string
		before []statePeer
		want   string
	}{
		{"nothing before", nil, "A[10.0.0.1:80]0s B[10.0.0.2:80 172.17.0.1:80]1m0s"},
		{"others, the latest first", []statePeer{stateOf("C", time.Hour, "10.0.0.3:80"), stateOf("D", 30*time.Second, "10.0.0.4:80")},
			"A[10.0.0.1:80]0s D[10.0.0.4:80]30s B[10.0.0.2:80 172.17.0.1:80]1m0s C[10.0.0.3:80]1h0m0s"},
		{"the same, before", []statePeer{stateOf("A", time.Hour, "10.0.0.9:80")}, "A[10.0.0.1:80]0s B[10.0.0.2:80 172.17.0.1:80]1m0s"},
		{"the same, seen later by another node", []statePeer{stateOf("B", time.Second, "10.0.0.9:80")}, "A[10.0.0.1:80]0s B[10.0.0.9:80]1s"},
		{"another at the same address", []statePeer{stateOf("C", time.Hour, "10.0.0.1:80"), stateOf("D", time.Hour, "172.17.0.1:80", "10.0.0.4:80")},
			"A[10.0.0.1:80]0s B[10.0.0.2:80 172.17.0.1:80]1m0s D[10.0.0.4:80]1h0m0s"},
		{"too old", []statePeer{stateOf("C", maxStateAge+1, "10.0.0.3:80")}, "A[10.0.0.1:80]0s B[10.0.0.2:80 172.17.0.1:80]1m0s"},
	} {
		if got := stateText(mergeState(lately, test.before, stateNow)); got != test.want {
			t.Errorf("%s: %s, want %s", test.why, got, test.want)
		}
	}
	var many []statePeer
	for i := range 1000 {
		many = append(many, stateOf(ID(fmt.Sprintf("%X", 0x1000+i)), time.Duration(i)*time.Minute, fmt.Sprintf("10.1.%d.%d:80", i>>8, i&255)))
	}
	if got := mergeState(nil, many, stateNow); len(got) != maxStatePeers || got[maxStatePeers-1].Seen != many[maxStatePeers-1].Seen {
		t.Errorf("%d are kept", len(got))
	}
}
