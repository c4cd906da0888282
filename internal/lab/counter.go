//go:build linux

package lab

import (
	"fmt"
	"os/exec"
)

// Counter counts frames that hosts send into a switch.
type Counter struct {
	lab  *Lab
	name string
}

// Count begins to count the frames that hosts send into the switch and that
// match an nftables expression, such as "udp dport 5353" or "meta l4proto tcp";
// an empty one matches all. A multicast frame counts once, and one that is lost
// later on counts, too.
func (s *Switch) Count(match string) *Counter {
	l := s.lab
	l.t.Helper()
	l.mu.Lock()
	l.counters++
	c := &Counter{l, fmt.Sprintf("c%d", l.counters)}
	l.mu.Unlock()
	l.must(l.nft(l.floor, fmt.Sprintf(`
add table bridge counters
add chain bridge counters prerouting { type filter hook prerouting priority -300; policy accept; }
add counter bridge counters %[1]s
add rule bridge counters prerouting iifname "%[2]s*" %[3]s counter name %[1]s
`, c.name, s.ends, match)))
	return c
}

// Read returns how many frames and bytes there were so far.
func (c *Counter) Read() (frames, bytes int) {
	c.lab.t.Helper()
	out, err := c.lab.run(c.lab.floor, "", exec.Command("nft", "list", "counter", "bridge", "counters", c.name))
	c.lab.must(err)
	var table, name string
	if _, err := fmt.Sscanf(out, "table bridge %s {\n counter %s {\n packets %d bytes %d", &table, &name, &frames, &bytes); err != nil {
		c.lab.t.Fatalf("lab: counter: %v in %q", err, out)
	}
	return frames, bytes
}
