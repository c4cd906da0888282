package tcpnet_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/discovery"
)

// alone is a node that finds others by what it remembers only.
func alone(name, state string) tcpnet.Config {
	return tcpnet.Config{Name: name, Discovery: []discovery.Discoverer{}, StateFile: state}
}

// logged is what a node has logged.
type logged struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) has(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), s)
}

// remembers waits until a state file names a node.
func remembers(t *testing.T, path string, id tcpnet.ID) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		b, _ := os.ReadFile(path)
		if strings.Contains(string(b), string(id)) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s is not remembered: %s", id, b)
		}
	}
}

// One of two nodes restarts. The other need not know where.
func TestAPeerIsFoundAgainAfterARestart(t *testing.T) {
	name, state := cluster(), filepath.Join(t.TempDir(), "state")
	b := join(t, alone(name, ""))
	cfg := alone(name, state)
	cfg.Seeds = []string{b.Addrs()[0].String()}
	a := join(t, cfg)
	wait(t, a, 1)
	remembers(t, state, b.ID()) // written while it runs, it may be killed
	a.Close()
	a = join(t, alone(name, state))
	wait(t, a, 1)
	if _, ok := a.Connection(b.ID()); !ok {
		t.Error("connected with another node")
	}
}

// All restart, with other IDs at the same ports, one after the other, so that each
// has seen the others leave.
func TestAllRestart(t *testing.T) {
	name, dir := cluster(), t.TempDir()
	const count = 3
	var nodes [count]*tcpnet.Node
	var addrs, states [count]string
	for i := range nodes {
		states[i] = filepath.Join(dir, string(rune('a'+i)))
		cfg := alone(name, states[i])
		if i > 0 {
			cfg.Seeds = addrs[:1]
		}
		nodes[i] = join(t, cfg)
		addrs[i] = nodes[i].Addrs()[0].String()
	}
	for _, n := range nodes {
		wait(t, n, count-1)
	}
	for _, n := range nodes {
		n.Close() // with a goodbye
	}
	for i := range nodes {
		cfg := alone(name, states[i])
		cfg.Addr = addrs[i]
		nodes[i] = join(t, cfg)
	}
	for _, n := range nodes {
		wait(t, n, count-1)
	}
	for _, n := range nodes { // those that have been are looked for no longer
		for end := time.Now().Add(patience); len(n.Status().Candidates) > 0; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("still looked for: %+v", n.Status().Candidates)
			}
		}
	}
}

// What is remembered and not there is shown.
func TestARememberedPeerIsShownInStatus(t *testing.T) {
	name, state := cluster(), filepath.Join(t.TempDir(), "state")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := ln.Addr().String()
	ln.Close()
	writeFile(t, state, map[string]any{"version": 1, "name": name, "peers": []any{
		map[string]any{"id": "AB", "addrs": []string{gone}, "seen": time.Now()},
	}})
	a := join(t, alone(name, state))
	st := a.Status()
	for end := time.Now().Add(patience); len(st.Candidates) == 1 && st.Candidates[0].Error == "" && time.Now().Before(end); st = a.Status() {
		time.Sleep(time.Millisecond)
	}
	if len(st.Candidates) != 1 || !strings.Contains(st.Candidates[0].Error, "refused") || st.Candidates[0].Source != "state file" || !st.Candidates[0].Met {
		t.Errorf("%+v", st.Candidates)
	}
}

func writeFile(t *testing.T, path string, content any) {
	t.Helper()
	b, err := json.Marshal(content)
	if err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Two nodes may share a file: each keeps what the other has written.
func TestTwoNodesShareAStateFile(t *testing.T) {
	name, state := cluster(), filepath.Join(t.TempDir(), "state")
	b, c := join(t, alone(name, "")), join(t, alone(name, ""))
	one := alone(name, state)
	one.Seeds = []string{b.Addrs()[0].String()}
	a1 := join(t, one)
	wait(t, a1, 1)
	remembers(t, state, b.ID())
	a1.Close()
	b.Close()
	two := alone(name, state)
	two.Seeds = []string{c.Addrs()[0].String()}
	a2 := join(t, two)
	wait(t, a2, 1)
	remembers(t, state, c.ID())
	remembers(t, state, b.ID())
}

func TestAStateFileThatIsDamagedIsReplaced(t *testing.T) {
	name, state := cluster(), filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(state, []byte(`{"version":1,"na`), 0o600); err != nil {
		t.Fatal(err)
	}
	var log logged
	b := join(t, alone(name, ""))
	cfg := alone(name, state)
	cfg.Seeds = []string{b.Addrs()[0].String()}
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	a := join(t, cfg)
	if !log.has("the state file is started anew") || !log.has(state) || !log.has("damaged") {
		t.Error("it is not said that the file is damaged")
	}
	wait(t, a, 1)
	remembers(t, state, b.ID())
}

// A later version of the library keeps its file, and the node runs without.
func TestAStateFileOfALaterVersionIsLeftAlone(t *testing.T) {
	name, state := cluster(), filepath.Join(t.TempDir(), "state")
	writeFile(t, state, map[string]any{"version": 2, "name": name})
	before, _ := os.ReadFile(state)
	var log logged
	b := join(t, alone(name, ""))
	cfg := alone(name, state)
	cfg.Seeds = []string{b.Addrs()[0].String()}
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	a := join(t, cfg)
	wait(t, a, 1)
	a.Close()
	if after, _ := os.ReadFile(state); !bytes.Equal(before, after) || !log.has("later version") {
		t.Errorf("the file is now %s", after)
	}
}

func TestAStateFileThatCannotBeWrittenHarmsNobody(t *testing.T) {
	name, dir := cluster(), filepath.Join(t.TempDir(), "dir")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var log logged
	cfg := alone(name, filepath.Join(dir, "state"))
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	a := join(t, cfg)
	if err := os.Remove(dir); err != nil { // root may write anywhere else
		t.Fatal(err)
	}
	c := join(t, tcpnet.Config{Name: name, Discovery: []discovery.Discoverer{}, Seeds: []string{a.Addrs()[0].String()}})
	wait(t, c, 1)
	wait(t, a, 1)
	for end := time.Now().Add(patience); !log.has("cannot write the state file"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it is not said that the file cannot be written")
		}
	}
	a.Close()
}

func TestStateFilesThatJoinRefuses(t *testing.T) {
	dir := t.TempDir()
	file, other := filepath.Join(dir, "file"), filepath.Join(dir, "other")
	writeFile(t, file, 1)
	writeFile(t, other, map[string]any{"version": 1, "name": "kitchen"})
	for path, want := range map[string]string{
		dir:                                    "is a directory",
		filepath.Join(dir, "missing", "state"): "no such file or directory",
		filepath.Join(file, "state"):           "not a directory",
		other:                                  `belongs to another cluster: "kitchen"`,
	} {
		n, err := tcpnet.Join(context20(t), alone(cluster(), path))
		if err == nil {
			n.Close()
			t.Errorf("%s is taken", path)
		} else if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "Config.StateFile") {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}
