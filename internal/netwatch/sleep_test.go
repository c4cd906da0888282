package netwatch

import (
	"testing"
	"time"
)

func TestSlept(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name       string
		wall, mono time.Duration
		want       bool
	}{
		{"a heartbeat", 2 * s, 2 * s, false},
		{"woken at once", 0, 0, false},
		{"busy machine", 6 * s, 6 * s, false},
		{"sleep on Linux and macOS", 3600 * s, 1 * s, true},
		{"short sleep on Linux and macOS", 7 * s, 1 * s, true},
		{"sleep on Windows", 3600 * s, 3600 * s, true},
		{"stopped process", 8 * s, 8 * s, true},
		{"clock corrected forward", 6 * s, 2 * s, false},
		{"clock corrected backward", -2 * s, 2 * s, false},
		{"clock set back by an hour", -3600 * s, 2 * s, false},
		{"clock set forward by an hour", 3602 * s, 2 * s, true},
		{"sleep on Windows, clock set back meanwhile", -3600 * s, 60 * s, true},
	} {
		if got := slept(c.wall, c.mono); got != c.want {
			t.Errorf("%s: slept(%v, %v) = %v", c.name, c.wall, c.mono, got)
		}
	}
}

func TestElapsedKeepsTheClocksApart(t *testing.T) {
	a := time.Now()
	b := a.Add(time.Second)
	if wall, mono := elapsed(a, b); wall != time.Second || mono != time.Second {
		t.Errorf("elapsed = %v, %v", wall, mono)
	}
	// Without a monotonic reading, b is what a wall clock set forward shows.
	if wall, _ := elapsed(a, a.Round(0).Add(time.Hour)); wall != time.Hour {
		t.Errorf("elapsed on the wall clock = %v", wall)
	}
}
