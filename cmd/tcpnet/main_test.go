package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"tcpnet": main})
}

// scriptPatience is how long the scripts wait for what should happen soon.
const scriptPatience = 20 * time.Second

// TestScript runs the scripts in testdata/script. Beside testscript's own commands
// they have these, for processes that run while the script goes on:
//
//	start NAME ARG...          run tcpnet ARG... in the background
//	send NAME TEXT             write TEXT, with \n and \x1b as in Go, to its input
//	flood NAME COUNT           write COUNT times the letter x to its input
//	close NAME                 end its input
//	await NAME stdout|stderr PATTERN [VAR]
//	                           wait for output that matches; the first group goes into VAR
//	! has NAME stdout|stderr PATTERN
//	                           what it has put out so far does not match
//	signal NAME INT|TERM|KILL  send it a signal
//	finish NAME CODE           wait for its end and check the exit code
//	gone PID                   wait until no such process exists
//
// $cluster is a name that no other script uses.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("cluster", "t"+randomHex(6))
			started := make(processes)
			env.Values[processesKey{}] = started
			env.Defer(started.kill)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"start":  start,
			"send":   send,
			"flood":  flood,
			"close":  closeInput,
			"await":  await,
			"has":    has,
			"signal": sendSignal,
			"finish": finish,
			"gone":   gone,
		},
	})
}

// processes are those that a script has started, by name.
type processes map[string]*process

type process struct {
	cmd            *exec.Cmd
	stdin          io.WriteCloser
	stdout, stderr transcript
	ended          chan struct{}
}

type processesKey struct{}

func (p processes) kill() {
	for _, p := range p {
		p.cmd.Process.Kill()
		<-p.ended
	}
}

// transcript collects what a process puts out.
type transcript struct {
	mu   sync.Mutex // guards what follows
	text bytes.Buffer
	more chan struct{} // closed and replaced when there is more
}

func (t *transcript) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text.Write(b)
	if t.more != nil {
		close(t.more)
		t.more = nil
	}
	return len(b), nil
}

// read returns what there is, and a channel that is closed when there is more.
func (t *transcript) read() (string, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.more == nil {
		t.more = make(chan struct{})
	}
	return t.text.String(), t.more
}

func start(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: start NAME ARG...")
	}
	path := ""
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if path == "" {
			path, _ = exec.LookPath(filepath.Join(dir, "tcpnet"))
		}
	}
	p := &process{cmd: exec.Command(path, args[1:]...), ended: make(chan struct{})}
	p.cmd.Dir = ts.Getenv("WORK")
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	var err error
	p.stdin, err = p.cmd.StdinPipe()
	ts.Check(err)
	ts.Check(p.cmd.Start())
	go func() {
		p.cmd.Wait()
		close(p.ended)
	}()
	ts.Value(processesKey{}).(processes)[args[0]] = p
}

// named returns the process that the first of count arguments names.
func named(ts *testscript.TestScript, args []string, count int) *process {
	if len(args) < count {
		ts.Fatalf("want %d arguments", count)
	}
	p := ts.Value(processesKey{}).(processes)[args[0]]
	if p == nil {
		ts.Fatalf("no process %q was started", args[0])
	}
	return p
}

func send(ts *testscript.TestScript, _ bool, args []string) {
	p := named(ts, args, 2)
	text, err := strconv.Unquote(`"` + args[1] + `"`)
	ts.Check(err)
	_, err = io.WriteString(p.stdin, text)
	ts.Check(err)
}

func flood(ts *testscript.TestScript, _ bool, args []string) {
	p := named(ts, args, 2)
	count, err := strconv.Atoi(args[1])
	ts.Check(err)
	_, err = p.stdin.Write(bytes.Repeat([]byte("x"), count))
	ts.Check(err)
}

func closeInput(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(named(ts, args, 1).stdin.Close())
}

func (p *process) stream(ts *testscript.TestScript, name string) *transcript {
	switch name {
	case "stdout":
		return &p.stdout
	case "stderr":
		return &p.stderr
	}
	ts.Fatalf("%q is neither stdout nor stderr", name)
	return nil
}

func await(ts *testscript.TestScript, _ bool, args []string) {
	p := named(ts, args, 3)
	out := p.stream(ts, args[1])
	pattern := regexp.MustCompile("(?m)" + args[2])
	limit := time.After(scriptPatience)
	ended := p.ended
	for {
		text, more := out.read()
		if found := pattern.FindStringSubmatch(text); found != nil {
			if len(args) > 3 {
				ts.Setenv(args[3], found[1])
			}
			return
		}
		if ended == nil {
			ts.Fatalf("%s has ended; %s is:\n%s", args[0], args[1], text)
		}
		select {
		case <-more:
		case <-ended:
			ended = nil
		case <-limit:
			ts.Fatalf("%s of %s does not match %q:\n%s\nstderr:\n%s", args[1], args[0], args[2], text, p.stderr.text.String())
		}
	}
}

func has(ts *testscript.TestScript, neg bool, args []string) {
	text, _ := named(ts, args, 3).stream(ts, args[1]).read()
	if regexp.MustCompile("(?m)"+args[2]).MatchString(text) == neg {
		ts.Fatalf("%s of %s is:\n%s", args[1], args[0], text)
	}
}

func sendSignal(ts *testscript.TestScript, _ bool, args []string) {
	p := named(ts, args, 2)
	s := map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM, "KILL": os.Kill}[args[1]]
	ts.Check(p.cmd.Process.Signal(s))
}

func finish(ts *testscript.TestScript, _ bool, args []string) {
	p := named(ts, args, 2)
	select {
	case <-p.ended:
	case <-time.After(scriptPatience):
		ts.Fatalf("%s does not end", args[0])
	}
	if code := fmt.Sprint(p.cmd.ProcessState.ExitCode()); code != args[1] {
		ts.Fatalf("%s has ended with %s, not %s\nstderr:\n%s", args[0], code, args[1], p.stderr.text.String())
	}
}

func gone(ts *testscript.TestScript, _ bool, args []string) {
	pid, err := strconv.Atoi(args[0])
	ts.Check(err)
	for limit := time.Now().Add(scriptPatience); ; time.Sleep(5 * time.Millisecond) {
		p, err := os.FindProcess(pid)
		if err != nil || p.Signal(syscall.Signal(0)) != nil || zombie(pid) {
			return
		}
		if time.Now().After(limit) {
			ts.Fatalf("process %d still runs", pid)
		}
	}
}

// zombie reports whether a process has ended and nobody has asked for its exit code,
// as when its parent is dead and the first process of a container does not care.
func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), ") Z ")
}
