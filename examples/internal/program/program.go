// Package program runs the examples in their tests, each node as a process of its
// own on loopback.
package program

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// variable is set in the environment of a process that is an example, not its test.
const variable = "TCPNET_EXAMPLE"

// patience is how long a test waits for what should happen soon.
const patience = 30 * time.Second

// Main is what TestMain calls: it runs main if the process was started by Start, and
// the tests otherwise.
func Main(m *testing.M, main func()) {
	if os.Getenv(variable) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Program is one process.
type Program struct {
	t     testing.TB
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{} // closed when the process has

	mu      sync.Mutex // guards what follows
	lines   []string
	read    int           // of lines, by Expect
	changed chan struct{} // closed and replaced when there is another line
}

// Start runs the example with these arguments, under a name for messages. The process
// is killed when the test ends.
func Start(t testing.TB, name string, args ...string) *Program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &Program{t: t, name: name, cmd: exec.Command(self, args...), ended: make(chan struct{}), changed: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), variable+"=1")
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdout, p.cmd.Stderr = in, in
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	go p.collect(out)
	t.Cleanup(p.Kill)
	return p
}

// collect takes what the process prints, until it ends.
func (p *Program) collect(out io.ReadCloser) {
	defer close(p.ended)
	defer out.Close()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		p.mu.Lock()
		p.lines = append(p.lines, lines.Text())
		close(p.changed)
		p.changed = make(chan struct{})
		p.mu.Unlock()
	}
	p.cmd.Wait()
}

// Expect waits for a line that matches a pattern, among those that came after the
// last one that was expected, and returns it and its groups.
func (p *Program) Expect(pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		p.mu.Lock()
		for i, line := range p.lines[p.read:] {
			if found := re.FindStringSubmatch(line); found != nil {
				p.read += i + 1
				p.mu.Unlock()
				return found
			}
		}
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-p.ended:
			p.t.Fatalf("%s has ended, and has not said %q:\n%s", p.name, pattern, p)
		case <-timeout.C:
			p.t.Fatalf("%s does not say %q:\n%s", p.name, pattern, p)
		}
	}
}

// Say writes a line to the program's standard input.
func (p *Program) Say(format string, args ...any) {
	p.t.Helper()
	if _, err := fmt.Fprintf(p.stdin, format+"\n", args...); err != nil {
		p.t.Fatalf("%s: %v\n%s", p.name, err, p)
	}
}

// Interrupt asks the program to end, and waits until it has, with success.
func (p *Program) Interrupt() {
	p.t.Helper()
	p.cmd.Process.Signal(os.Interrupt)
	select {
	case <-p.ended:
		if !p.cmd.ProcessState.Success() {
			p.t.Errorf("%s ends with %v:\n%s", p.name, p.cmd.ProcessState, p)
		}
	case <-time.After(patience):
		p.t.Fatalf("%s does not end:\n%s", p.name, p)
	}
}

// Kill ends the program at once.
func (p *Program) Kill() {
	p.cmd.Process.Kill()
	<-p.ended
}

// String returns what the program has printed.
func (p *Program) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}
