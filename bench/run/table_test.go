package main

import (
	"strings"
	"testing"
)

func TestTableComparesWithTheFirstSystem(t *testing.T) {
	var b strings.Builder
	tab := newTable(&b, "title", "ms")
	tab.add("N=2", []string{"floor", "tcpnet"}, map[string]sample{"floor": {1, 2, 4}, "tcpnet": {3, failed, 5}})
	tab.add("told", []string{"floor", "tcpnet"}, map[string]sample{"tcpnet": {7}})
	tab.end()
	var got []string
	for line := range strings.Lines(b.String()) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	want := []string{
		"", "title (ms)",
		"case system runs failed min median max ratio pairwise",
		"N=2 floor 3 0 1.00 2.00 4.00",
		"N=2 tcpnet 3 1 3.00 4.00 5.00 2.00 2.12",
		"told tcpnet 1 0 7.00 7.00 7.00",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestFigure(t *testing.T) {
	for v, want := range map[float64]string{123.4: "123", 12.34: "12.3", 1.234: "1.23", 0.1234: "0.123"} {
		if got := figure(v); got != want {
			t.Errorf("figure(%v) = %s, want %s", v, got, want)
		}
	}
	if got := figure(failed); got != "-" {
		t.Errorf("figure(failed) = %s", got)
	}
}
