package main

import (
	"math"
	"testing"
)

func TestSample(t *testing.T) {
	for _, tt := range []struct {
		name             string
		s                sample
		min, median, max float64
		failures         int
	}{
		{"none", nil, failed, failed, failed, 0},
		{"one", sample{3}, 3, 3, 3, 0},
		{"odd", sample{9, 1, 4}, 1, 4, 9, 0},
		{"even", sample{9, 1, 4, 2}, 1, 3, 9, 0},
		{"failures are left out", sample{9, failed, 1, failed, 4}, 1, 4, 9, 2},
		{"all failed", sample{failed, failed}, failed, failed, failed, 2},
	} {
		if got := [3]float64{tt.s.min(), tt.s.median(), tt.s.max()}; !same(got[0], tt.min) || !same(got[1], tt.median) || !same(got[2], tt.max) {
			t.Errorf("%s: min, median, max = %v; want %v %v %v", tt.name, got, tt.min, tt.median, tt.max)
		}
		if got := tt.s.failures(); got != tt.failures {
			t.Errorf("%s: %d failures, want %d", tt.name, got, tt.failures)
		}
	}
}

func TestOverPairsTheRuns(t *testing.T) {
	r := sample{2, 9, failed, 4}.over(sample{1, 3, 5, failed, 7})
	if len(r) != 4 || r[0] != 2 || r[1] != 3 || r.failures() != 2 {
		t.Errorf("got %v", r)
	}
}

func TestSlope(t *testing.T) {
	k, base := slope([]float64{9, 29, 99}, []float64{100 + 9*22, 100 + 29*22, 100 + 99*22})
	if math.Abs(k-22) > 1e-9 || math.Abs(base-100) > 1e-9 {
		t.Errorf("slope, base = %v, %v; want 22, 100", k, base)
	}
}

func same(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }
