package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"example.com/tcpnet/bench/report"
)

// secret measures what a secret costs, all in one run: a join, a cold start of 30, a
// handshake, and a stream beside crypto/tls over the same path.
func secret(o options) error {
	if err := join.measure(o); err != nil {
		return err
	}
	together := o
	together.n = []int{30}
	if err := cold.measure(together); err != nil {
		return err
	}
	if err := handshakes(o); err != nil {
		return err
	}
	o.private = true
	return stream(o)
}

// handshakes measures what making one socket private costs both ends together.
func handshakes(o options) error {
	return onLAN(1, func(l *lan) error {
		m, err := startMember(l.hosts[0], "handshake", exec.Command(filepath.Join(o.bin, "handshake")))
		if err != nil {
			return err
		}
		defer m.kill()
		done := false
		for end := time.Now().Add(o.limit); !done && time.Now().Before(end); time.Sleep(pollEvery) {
			if err := m.drain(func(report.Event) error { return nil }); err != nil {
				return err
			}
			for _, r := range m.results {
				done = done || r.Text == "done=1"
			}
			if m.ended && !done {
				return fmt.Errorf("handshake ended early")
			}
		}
		if !done {
			return fmt.Errorf("handshake has no result within %v", o.limit)
		}
		kinds := []string{"crypto/tls", "full", "resumed", "tcp"}
		cpu, wall := make(map[string]sample), make(map[string]sample)
		for _, r := range m.results {
			_, kind, found := strings.Cut(r.Text, "kind=")
			if !found {
				continue
			}
			kind, _, _ = strings.Cut(kind, " ")
			c, err := r.Value("cpu")
			if err != nil {
				return err
			}
			w, err := r.Value("wall")
			if err != nil {
				return err
			}
			cpu[kind], wall[kind] = append(cpu[kind], c), append(wall[kind], w)
		}
		t := newTable(os.Stdout, "one socket made private, both ends, over loopback (means of 25)", "us")
		t.add("processor time", kinds, cpu)
		t.add("time", kinds, wall)
		t.end()
		return nil
	})
}
