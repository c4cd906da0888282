package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// cpuTime sums the processor time of a process's threads, to the nanosecond.
func cpuTime(pid int) (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("process %d has no threads", pid)
	}
	var sum time.Duration
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			return 0, err
		}
		on, _, _ := bytes.Cut(b, []byte{' '})
		ns, err := strconv.ParseInt(string(on), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}

// memoryUse is what a process holds, as its status file says.
type memoryUse struct {
	rssKB, anonKB, threads float64
	descriptors            float64
}

// memoryOf reads the memory of a process.
func memoryOf(pid int) (memoryUse, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return memoryUse{}, err
	}
	m, err := parseStatus(b)
	if err != nil {
		return m, err
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	m.descriptors = float64(len(open))
	return m, err
}

// parseStatus reads /proc/PID/status.
func parseStatus(b []byte) (memoryUse, error) {
	var m memoryUse
	for key, v := range map[string]*float64{"VmRSS:": &m.rssKB, "RssAnon:": &m.anonKB, "Threads:": &m.threads} {
		_, after, found := bytes.Cut(b, []byte("\n"+key))
		fields := bytes.Fields(after)
		if !found || len(fields) == 0 {
			return m, fmt.Errorf("status has no %s", key)
		}
		var err error
		if *v, err = strconv.ParseFloat(string(fields[0]), 64); err != nil {
			return m, err
		}
	}
	return m, nil
}
