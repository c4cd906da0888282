//go:build linux

package labtest

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.com/tcpnet/internal/lab"
)

// A process that has no file descriptors left keeps what it has, does not run hot,
// and takes the others in when there are some again.
func TestNoFileDescriptorsLeft(t *testing.T) {
	l := newLab(t)
	hs := hosts(l, 5, l.Switch("lan"), lab.NoDAD)
	c := newCluster(t)
	ms := c.startOn(hs[:3])
	c.meshed(patience, ms...)
	before := c.connections(ms...)
	ms[0].limitFiles(ms[0].files())
	others := append(ms[1:3:3], c.startOn(hs[3:])...)
	c.meshed(patience, others...)
	used := ms[0].processorTime()
	const watched = 5 * time.Second
	time.Sleep(watched)
	if used = ms[0].processorTime() - used; used > watched/4 {
		t.Errorf("it has used %v of processor time in %v", used, watched)
	}
	unharmed(c, before, ms...)
	begin := time.Now()
	ms[0].limitFiles(1024)
	last := c.meshed(patience, append(others, ms[0])...)
	t.Logf("all connected %v after there were descriptors again; %v of processor time in %v before", last.Sub(begin).Round(time.Millisecond), used, watched)
	unharmed(c, before, ms...)
}

// limitFiles sets how many files the process may have open.
func (m *member) limitFiles(n int) {
	m.cluster.t.Helper()
	pid := m.process.Cmd.Process.Pid
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(n), Max: 1024}, nil); err != nil {
		m.cluster.t.Fatalf("prlimit: %v", err)
	}
}

// processorTime returns what the process has used so far, to a hundredth of a
// second.
func (m *member) processorTime() time.Duration {
	m.cluster.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", m.process.Cmd.Process.Pid))
	if err != nil {
		m.cluster.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ") // the name may have blanks
	var user, system int64                     // proc_pid_stat(5), fields 14 and 15
	fields := strings.Fields(rest)
	if _, err := fmt.Sscan(strings.Join(fields[11:13], " "), &user, &system); err != nil {
		m.cluster.t.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}
