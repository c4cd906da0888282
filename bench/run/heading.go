package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// heading says what is run and on what: a machine that is busy with other
// things has other figures.
func heading() string {
	load, _ := os.ReadFile("/proc/loadavg")
	minute, _, _ := bytes.Cut(load, []byte{' '})
	return fmt.Sprintf("run %s\n%s, %d cores, load %s, %s", strings.Join(os.Args[1:], " "),
		time.Now().UTC().Format("2006-01-02 15:04 MST"), runtime.NumCPU(), minute, runtime.Version())
}
