package main

import (
	"math"
	"slices"
	"time"
)

// sample holds one figure of each run. A run that failed is failed.
type sample []float64

var failed = math.NaN()

// milliseconds returns the sample of these times.
func milliseconds(times []time.Duration) sample {
	s := make(sample, len(times))
	for i, d := range times {
		s[i] = ms(int64(d))
	}
	return s
}

// sound returns the runs that did not fail, sorted.
func (s sample) sound() sample {
	out := make(sample, 0, len(s))
	for _, v := range s {
		if !math.IsNaN(v) {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return out
}

// failures counts the runs that failed.
func (s sample) failures() int { return len(s) - len(s.sound()) }

// median is the median of the runs that did not fail, or failed if none did.
func (s sample) median() float64 {
	v := s.sound()
	switch n := len(v); {
	case n == 0:
		return failed
	case n%2 == 1:
		return v[n/2]
	default:
		return (v[n/2-1] + v[n/2]) / 2
	}
}

// min is the least of the runs that did not fail, or failed.
func (s sample) min() float64 {
	if v := s.sound(); len(v) > 0 {
		return v[0]
	}
	return failed
}

// max is the greatest of the runs that did not fail, or failed.
func (s sample) max() float64 {
	if v := s.sound(); len(v) > 0 {
		return v[len(v)-1]
	}
	return failed
}

// over returns the ratio of s to t run by run, for the runs that both have.
func (s sample) over(t sample) sample {
	out := make(sample, min(len(s), len(t)))
	for i := range out {
		out[i] = s[i] / t[i] // NaN if either failed
	}
	return out
}

// slope fits a straight line through the points (x, y) by least squares.
func slope(x, y []float64) (perX, atZero float64) {
	n := float64(len(x))
	var sx, sy, sxx, sxy float64
	for i := range x {
		sx += x[i]
		sy += y[i]
		sxx += x[i] * x[i]
		sxy += x[i] * y[i]
	}
	perX = (n*sxy - sx*sy) / (n*sxx - sx*sx)
	return perX, (sy - perX*sx) / n
}
