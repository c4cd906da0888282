//go:build linux

package labtest

import (
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/tcpnet/internal/lab"
)

var clocks = flag.Bool("labtest.clock", false, "run the test of clocks that jump, too: it builds the standard library anew, which takes minutes at the first time")

// A machine's clock is set, far forward and far back: nobody is lost, and the node
// does all that it did before.
//
// All namespaces of a machine have one wall clock, and it is not for a test to set.
// So the nodes are built with a package time whose Now can be shifted: to the
// process it looks as if the clock had been set. The monotonic clock and the
// kernel's timers go on, as they do then.
func TestAClockJumps(t *testing.T) {
	if !*clocks {
		t.Skip("builds the standard library anew: -labtest.clock")
	}
	l := newLab(t)
	hs := hosts(l, 4, l.Switch("lan"), lab.NoDAD)
	secret := make([]byte, 32)
	rand.Read(secret)
	for name, how := range map[string]func(*settings){
		"open":    func(*settings) {},
		"private": func(s *settings) { s.Secret = secret },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			c.program = shiftable(t)
			ms := c.startOn(hs[:3], how)
			c.meshed(patience, ms...)
			for _, jump := range []time.Duration{time.Hour, -2 * time.Hour, 400 * 24 * time.Hour, -800 * 24 * time.Hour, 6 * time.Second} {
				before := c.connections(ms...)
				ms[0].shift(jump)
				// Longer than the time-out, so that whoever is taken for
				// dead has been given up.
				time.Sleep(12 * time.Second)
				unharmed(c, before, ms...)
				newcomer := c.start(hs[3], how).ready()
				begin := time.Now()
				c.meshed(patience, append(ms, newcomer)...)
				t.Logf("%v: nobody lost; a newcomer was connected %v after it listened", jump, time.Since(begin).Round(time.Millisecond))
				begin = time.Now()
				newcomer.process.Kill()
				missed(c, newcomer, ms[1:], "reset", begin, soon)
				c.gone(patience, ms[0], newcomer)
			}
		})
	}
}

// shift sets a node's clock forward.
func (m *member) shift(d time.Duration) {
	m.cluster.t.Helper()
	before := len(m.all(shifted))
	if _, err := fmt.Fprintf(m.stdin, "clock %d\n", int64(d/time.Second)); err != nil {
		m.cluster.t.Fatal(err)
	}
	m.cluster.await(patience, func() error {
		n := 0
		for _, e := range m.events {
			if e.Kind == shifted {
				n++
			}
		}
		if n == before {
			return fmt.Errorf("%v has not set its clock", m)
		}
		return nil
	})
}

// shiftable builds this test binary once more, with a clock that can be shifted.
func shiftable(t *testing.T) string {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	original := filepath.Join(strings.TrimSpace(string(root)), "src/time/time.go")
	text, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	const read = "sec, nsec, mono := runtimeNow()\n"
	const imports = "import (\n"
	changed := strings.Replace(string(text), read, read+"\tsec += shift.Load()\n", 1)
	changed = strings.Replace(changed, imports, imports+"\t\"sync/atomic\"\n", 1)
	if strings.Count(changed, "shift.Load") != 1 || strings.Count(changed, "\"sync/atomic\"") != 1 {
		t.Fatalf("%s has no Now as this test knows it: look after it", original)
	}
	changed += "\nvar shift atomic.Int64\n\nfunc ShiftWall(seconds int64) { shift.Add(seconds) }\n"
	patched, overlay, binary := filepath.Join(dir, "time.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "node")
	if err := os.WriteFile(patched, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(map[string]map[string]string{"Replace": {original: patched}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overlay, b, 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "test", "-c", "-vet=off", "-overlay", overlay, "-tags", "shiftclock", "-o", binary, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("build with a clock that can be shifted: %v\n%s", err, out)
	}
	return binary
}
