//go:build linux

package labtest

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/tcpnet/internal/lab"
)

// A terminal is a "tcpnet join" in a terminal, so to speak.
type terminal struct {
	t           *testing.T
	process     *lab.Process
	stdin       io.WriteCloser
	stdout, err buffer
}

// join runs "tcpnet join" on a host.
func join(t *testing.T, h *lab.Host, name string, args ...string) *terminal {
	t.Helper()
	j := &terminal{t: t}
	cmd := exec.Command(command(t), append([]string{"join", name}, args...)...)
	cmd.Stdout, cmd.Stderr = &j.stdout, &j.err
	var err error
	if j.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	j.process = h.Start(cmd)
	t.Cleanup(func() {
		if strings.Contains(j.err.String(), "DATA RACE") {
			t.Error("DATA RACE")
		}
		if t.Failed() {
			t.Logf("on %s:\n%s\n%s", h.Name, j.stdout.String(), j.err.String())
		}
	})
	return j
}

func (j *terminal) types(line string) {
	j.t.Helper()
	if _, err := io.WriteString(j.stdin, line+"\n"); err != nil {
		j.t.Fatal(err)
	}
}

// shows waits for text in the output, and says for text on standard error.
func (j *terminal) shows(text string) { j.t.Helper(); j.expect(&j.stdout, text) }
func (j *terminal) says(text string)  { j.t.Helper(); j.expect(&j.err, text) }

func (j *terminal) expect(b *buffer, text string) {
	j.t.Helper()
	eventually(j.t, fmt.Sprintf("expected %q", text), func() error {
		if !strings.Contains(b.String(), text) {
			return errors.New(b.String())
		}
		return nil
	})
}

// What somebody does who tries it: the same name on three machines, a line typed
// on one, and then one way of leaving after the other.
func TestJoinOnThreeMachines(t *testing.T) {
	command(t)
	l := newLab(t)
	hs := hosts(l, 4, l.Switch("lan"), lab.NoDAD)
	name := randomName()
	a := join(t, hs[0], name, "--id", "A1", "--label", "anna")
	b := join(t, hs[1], name, "--id", "B2", "--label", "bert")
	c := join(t, hs[2], name, "--id", "C3", "--label", "carl")
	for _, j := range []*terminal{a, b, c} {
		for _, who := range []struct {
			j    *terminal
			text string
		}{{a, "joined A1 anna 10.1.0.1:"}, {b, "joined B2 bert 10.1.0.2:"}, {c, "joined C3 carl 10.1.0.3:"}} {
			if j != who.j {
				j.says(who.text[:strings.LastIndex(who.text, " ")])
			}
		}
	}
	a.types("hello from anna")
	b.shows("hello from anna\n")
	c.shows("hello from anna\n")
	b.types("hello from bert")
	a.shows("hello from bert\n")
	c.shows("hello from bert\n")

	// From a script, that says one thing and goes.
	d := join(t, hs[3], name, "--id", "D4", "--eof", "--wait", "3", "-q")
	d.types("hello from a script")
	d.stdin.Close()
	if err := d.process.Wait(); err != nil {
		t.Errorf("with --eof: %v", err)
	}
	for _, j := range []*terminal{a, b, c} {
		j.shows("hello from a script\n")
		j.says("left D4")
	}

	a.process.Kill()
	b.says("left A1 anna: reset")
	c.says("left A1 anna: reset")
	b.process.Signal(syscall.SIGTERM)
	if err := b.process.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	c.says("left B2 bert: left")
	if c.stdout.String() != "hello from anna\nhello from bert\nhello from a script\n" {
		t.Errorf("carl has got %q", c.stdout.String())
	}
}

// The command and a program that uses the library are nodes alike.
func TestTheCommandAndAProgram(t *testing.T) {
	command(t)
	l := newLab(t)
	hs := hosts(l, 2, l.Switch("lan"), lab.NoDAD)
	c := newCluster(t)
	m := c.start(hs[0]).ready()
	j := join(t, hs[1], c.name, "--id", "ABCDEF")
	j.says("joined " + string(m.id))
	j.shows("greets ABCDEF\n")
	j.types("hello")
	c.await(patience, func() error {
		if x := m.live["ABCDEF"]; x == nil || x.heard != "hello" {
			return errors.New("the program has not heard the command")
		}
		return nil
	})
}

// Across a network without multicast, one address is enough.
func TestJoinWithASeed(t *testing.T) {
	command(t)
	l := newLab(t)
	hs := hosts(l, 3, l.Switch("lan"), lab.NoDAD)
	for _, h := range hs {
		h.Firewall(lab.NoMulticast)
	}
	name := randomName()
	join(t, hs[0], name, "--id", "A1", "--addr", ":4000")
	seed := hs[0].Addr().String() + ":4000"
	b := join(t, hs[1], name, "--id", "B2", "--seed", seed)
	c := join(t, hs[2], name, "--id", "C3", "--seed", seed)
	b.says("joined C3")
	c.says("joined B2")
	c.says("joined A1")
}

// A file goes through a cluster whole.
func TestAFileToEverybody(t *testing.T) {
	command(t)
	l := newLab(t)
	hs := hosts(l, 3, l.Switch("lan"), lab.NoDAD)
	name := randomName()
	a, b := join(t, hs[0], name), join(t, hs[1], name)
	a.stdin.Close()
	b.stdin.Close()
	var text strings.Builder
	for i := range 200_000 {
		fmt.Fprintf(&text, "line %d of a file\n", i)
	}
	c := join(t, hs[2], name, "--eof", "--wait", "2")
	begin := time.Now()
	if _, err := io.WriteString(c.stdin, text.String()); err != nil {
		t.Fatal(err)
	}
	c.stdin.Close()
	if err := c.process.Wait(); err != nil {
		t.Errorf("sender: %v", err)
	}
	for _, j := range []*terminal{a, b} {
		eventually(t, "all is there", func() error {
			if n := len(j.stdout.String()); n < text.Len() {
				return fmt.Errorf("%d bytes of %d", n, text.Len())
			}
			return nil
		})
		if j.stdout.String() != text.String() {
			t.Error("it is not the same")
		}
	}
	t.Logf("%d kB to two peers in %v", text.Len()>>10, time.Since(begin).Round(time.Millisecond))
}

// A line that did not arrive because the network was cut is no success, although the
// system has taken it.
func TestEOFOnACutNetwork(t *testing.T) {
	command(t)
	for name, how := range map[string]lab.Cut{"down": lab.Down, "silent": lab.Silent} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			hs := hosts(l, 2, l.Switch("lan"), lab.NoDAD)
			name := randomName()
			a := join(t, hs[0], name)
			a.stdin.Close()
			b := join(t, hs[1], name, "--eof", "-q")
			b.types("first")
			a.shows("first\n")
			hs[1].Cut(how)
			b.types("second")
			b.stdin.Close()
			if err := b.process.Wait(); err == nil {
				t.Error("it counts as delivered")
			}
			b.says("tcpnet: not everything")
		})
	}
}

// Whoever reads the output of a join may take a rest, also when the sender has gone.
func TestOutputThatIsReadLate(t *testing.T) {
	bin := command(t)
	l := newLab(t)
	hs := hosts(l, 2, l.Switch("lan"), lab.NoDAD)
	name := randomName()
	cmd := exec.Command(bin, "join", name, "-q")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	receiver := hs[0].Start(cmd)
	const text = "0123456789\n"
	const lines = 11_000
	size := lines * len(text) // more than a pipe and the command hold, not more than a socket beside
	b := join(t, hs[1], name, "--eof")
	b.types(strings.Repeat(text, lines-1) + strings.TrimSpace(text))
	b.stdin.Close()
	if err := b.process.Wait(); err != nil {
		t.Errorf("the sender: %v", err)
	}
	time.Sleep(6 * time.Second) // longer than a connection is kept that has nothing to read
	got := make([]byte, size)
	if n, err := io.ReadFull(out, got); err != nil {
		t.Errorf("%d of %d bytes: %v", n, size, err)
	}
	receiver.Signal(syscall.SIGTERM)
	if err := receiver.Wait(); err != nil {
		t.Errorf("the receiver: %v", err)
	}
}
