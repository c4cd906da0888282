package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
)

// overflows returns how often the kernel's tables of neighbours have been full since
// it booted. They are the same for all namespaces of the machine: a figure that was
// taken while another program filled them says nothing. Only the
// machine's own network namespace tells: in another one the answer is 0.
func overflows() (n uint64, err error) {
	for _, name := range []string{"/proc/thread-self/net/stat/arp_cache", "/proc/thread-self/net/stat/ndisc_cache"} {
		b, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		full, err := tableFulls(b)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		n += full
	}
	return n, nil
}

// tableFulls sums the column of that name, which is there for each processor, in hexadecimal.
func tableFulls(b []byte) (n uint64, err error) {
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	column := slices.IndexFunc(bytes.Fields(lines[0]), func(name []byte) bool { return string(name) == "table_fulls" })
	for _, line := range lines[1:] {
		fields := bytes.Fields(line)
		if column < 0 || column >= len(fields) {
			return 0, fmt.Errorf("no column table_fulls in %q", line)
		}
		full, err := strconv.ParseUint(string(fields[column]), 16, 64)
		if err != nil {
			return 0, err
		}
		n += full
	}
	return n, nil
}
