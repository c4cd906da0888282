package main

import (
	"strings"
	"testing"
	"time"
)

// A pair is connected when both sides say so, and the demo fails unless all are.
func TestDemoFailsWithoutFullMesh(t *testing.T) {
	var out strings.Builder
	start := time.Now()
	d := &demo{screen: screen{w: &out, width: 3}, count: 3, start: start, found: make(map[[2]string]bool)}
	for i := range d.count {
		d.nodes = append(d.nodes, &demoChild{name: demoName(i)})
	}
	join := func(from, to int, after time.Duration) {
		d.took(childReport{child: d.nodes[from], report: &report{
			Kind: reportJoined, At: start.Add(after), Start: start, Peer: demoName(to),
		}})
	}
	join(0, 1, 10*time.Millisecond)
	join(1, 0, 11*time.Millisecond)
	join(0, 2, 12*time.Millisecond)
	join(2, 0, 13*time.Millisecond)
	join(2, 1, 14*time.Millisecond)
	if err := d.sumUp(); err == nil {
		t.Error("it succeeds without a full mesh")
	}
	if want := "3 processes, 2 of 3 pairs connected, no full mesh, "; !strings.Contains(out.String(), want) {
		t.Errorf("no %q in\n%s", want, out.String())
	}
	join(1, 2, 15*time.Millisecond)
	if err := d.sumUp(); err != nil {
		t.Error(err)
	}
	for _, want := range []string{
		"  15.0 ms  full mesh: all 3 pairs are connected\n",
		"  12.0 ms  ada  finds   cyd, 12.0 ms after its own start\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
