//go:build linux

package labtest

import (
	"path/filepath"
	"testing"
	"time"

	"example.com/tcpnet/internal/lab"
)

func remembering(file string) func(*settings) { return func(s *settings) { s.State = file } }

// A power cut of all hosts, on a network without multicast: what they remember is
// enough, with new IDs and no seed.
func TestAfterAPowerCutWithoutMulticast(t *testing.T) {
	l := newLab(t)
	hs := hosts(l, 4, l.Switch("lan"), lab.NoDAD)
	dir := t.TempDir()
	c := newCluster(t)
	start := func(how ...func(*settings)) (ms []*member) {
		for _, h := range hs {
			ms = append(ms, c.start(h, append(how, listening(":4000"), remembering(filepath.Join(dir, h.Name)))...))
		}
		return ms
	}
	for _, h := range hs {
		h.Firewall(lab.NoMulticast)
	}
	ms := start(seeded(hs[0].Addr().String() + ":4000"))
	c.meshed(patience, ms...)
	time.Sleep(3 * time.Second) // what is met is written a moment later
	for _, m := range ms {
		m.process.Kill()
	}
	ms = start()
	last := c.meshed(patience, ms...)
	t.Logf("connected %v after the last Join", last.Sub(ms[3].ready().all(ready)[0].Time).Round(time.Millisecond))
}
