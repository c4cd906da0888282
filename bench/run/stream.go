package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/bench/report"
)

// stream compares a tcpnet connection with a bare one between the same two
// processes, a pair of processes for each run.
func stream(o options) error {
	return onLAN(2, func(l *lan) error { return streamOn(l, o) })
}

func streamOn(l *lan, o options) error {
	paths := []string{"bare", "tcpnet"}
	if o.private {
		paths = []string{"crypto/tls", "secret"}
	}
	rates, reads := make(map[string]map[string]sample), make(map[string]map[string]sample)
	for run := range o.runs {
		if o.spent() {
			break
		}
		results, err := streamOnce(l, run, o)
		if err != nil {
			return err
		}
		for _, r := range results {
			if err := fileResult(r, rates, reads); err != nil {
				return err
			}
		}
	}
	t := newTable(os.Stdout, "one connection, 64 KiB writes", "MB/s")
	for _, mode := range []string{"write", "sendfile", "splice"} {
		t.add(mode, paths, rates[mode])
	}
	t.end()
	t = newTable(os.Stdout, "read system calls of the end that copies (source of sendfile, sink of the others)", "calls a MiB")
	for _, mode := range []string{"write", "sendfile", "splice"} {
		t.add(mode, paths, reads[mode])
	}
	t.end()
	return nil
}

// fileResult enters one transfer into the figures, by mode and path.
func fileResult(r report.Event, rates, reads map[string]map[string]sample) error {
	words := make(map[string]string)
	for f := range strings.FieldsSeq(r.Text) {
		k, v, _ := strings.Cut(f, "=")
		words[k] = v
	}
	mode, path := words["mode"], words["path"]
	if mode == "" {
		return nil // the end of the run
	}
	if rates[mode] == nil {
		rates[mode], reads[mode] = make(map[string]sample), make(map[string]sample)
	}
	rate, err := r.Value("mbps")
	if err != nil {
		return err
	}
	end := "sinkreads"
	if mode == "sendfile" {
		end = "sourcereads"
	}
	calls, err := r.Value(end)
	if err != nil {
		return err
	}
	size, err := r.Value("mib")
	if err != nil {
		return err
	}
	rates[mode][path] = append(rates[mode][path], rate)
	reads[mode][path] = append(reads[mode][path], calls/size)
	return nil
}

// streamSecret is the secret of both ends of a private stream.
var streamSecret = tcpnet.NewSecret()

// streamOnce runs one sink and one source and returns what the source reported.
func streamOnce(l *lan, run int, o options) ([]report.Event, error) {
	name := "-name=" + clusterName()
	size := fmt.Sprintf("-bytes=%d", o.bytes)
	program := filepath.Join(o.bin, "stream")
	command := func(args ...string) *exec.Cmd {
		cmd := exec.Command(program, append([]string{name}, args...)...)
		if o.private {
			cmd.Env = append(os.Environ(), secretVariable+"="+streamSecret)
		}
		return cmd
	}
	sink, err := startMember(l.hosts[0], "sink", command())
	if err != nil {
		return nil, err
	}
	defer sink.kill()
	source, err := startMember(l.hosts[1], "source", command(size, "-source", fmt.Sprintf("-bare-first=%v", run%2 == 0)))
	if err != nil {
		return nil, err
	}
	defer source.kill()
	for end := time.Now().Add(o.limit); time.Now().Before(end); time.Sleep(pollEvery) {
		done := false
		for _, m := range []*member{sink, source} {
			if err := m.drain(func(report.Event) error { return nil }); err != nil {
				return nil, err
			}
		}
		for _, r := range source.results {
			if v, err := r.Value("done"); err == nil && v == 1 {
				done = true
			}
		}
		switch {
		case done:
			return source.results, nil
		case sink.ended || source.ended:
			return nil, fmt.Errorf("run %d: a stream process ended early", run)
		}
	}
	return nil, fmt.Errorf("run %d: no result within %v", run, o.limit)
}
