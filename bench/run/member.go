package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"example.com/tcpnet/bench/report"
	"example.com/tcpnet/internal/lab"
)

// member is one running node: a process on a host.
type member struct {
	id      string
	process *lab.Process
	forked  int64 // when it was about to be started
	events  int   // read end of its standard output, which never blocks
	stdin   *os.File
	rest    []byte // the beginning of a line that has not come whole
	ended   bool   // standard output has ended

	started int64        // first line of main
	ready   int64        // listening
	stat    report.Event // last answer to "stat"
	results []report.Event
}

// startMember starts cmd on a host. The harness reads the events when it likes
// to (drain), not when they come: it must not take the processor from what it
// measures.
func startMember(h *lab.Host, id string, cmd *exec.Cmd) (*member, error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(p[0], true); err != nil {
		return nil, err
	}
	out := os.NewFile(uintptr(p[1]), "events")
	defer out.Close()
	in, stdin, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, os.Stderr
	m := &member{id: id, events: p[0], stdin: stdin, forked: report.Now()}
	m.process = h.Start(cmd)
	return m, nil
}

// drain takes what the process has reported so far.
func (m *member) drain(use func(report.Event) error) error {
	var b [16 << 10]byte
	for !m.ended {
		n, err := unix.Read(m.events, b[:])
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("events of node %s: %w", m.id, err)
		case n == 0:
			m.ended = true
			return nil
		}
		m.rest = append(m.rest, b[:n]...)
		for {
			line, rest, whole := bytes.Cut(m.rest, []byte{'\n'})
			if !whole {
				break
			}
			e, err := report.Parse(string(line))
			m.rest = rest
			if err != nil {
				return err
			}
			m.note(e)
			if err := use(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// note keeps what concerns the member alone.
func (m *member) note(e report.Event) {
	switch e.Kind {
	case report.Started:
		m.started = e.At
	case report.Ready:
		m.ready = e.At
	case report.Stat:
		m.stat = e
	case report.Result:
		m.results = append(m.results, e)
	}
}

// ask sends a command to the process.
func (m *member) ask(command string) error {
	_, err := io.WriteString(m.stdin, command+"\n")
	return err
}

// signal sends s to the process and returns the time just before.
func (m *member) signal(s syscall.Signal) (at int64) {
	at = report.Now()
	m.process.Signal(s)
	return at
}

// kill ends the process and waits for its end.
func (m *member) kill() {
	m.process.Kill()
	m.stdin.Close()
	unix.Close(m.events)
	m.ended = true
}
