package main

import "fmt"

// held is a figure that must not grow, and how much more of it at the end than at
// the beginning is no growth.
type held struct {
	name  string
	share float64 // of what it was
	slack float64 // and beyond that
}

// warmup is how many of the first samples say nothing: pools and maps fill.
const warmup = 2

// growth compares the last third of a series with the first third after the
// warm-up, by their medians. ok is false if the series is too short for that.
func growth(s sample) (first, last float64, ok bool) {
	if len(s) < warmup+6 {
		return 0, 0, false
	}
	s = s[warmup:]
	third := len(s) / 3
	return s[:third].median(), s[len(s)-third:].median(), true
}

// grown says how much more there is than there may be, or nothing.
func (h held) grown(first, last float64) error {
	if last > first*(1+h.share)+h.slack {
		return fmt.Errorf("%s grew from %s to %s", h.name, figure(first), figure(last))
	}
	return nil
}
