package main

import "testing"

func TestExcuses(t *testing.T) {
	x := newExcuses(10)
	if x.has(0, 1, 5) {
		t.Error("an excuse where nothing has happened")
	}
	x.begin(around(1, 3))
	x.begin(across([]bool{true, false, false}))
	if !x.has(1, 0, 7) || !x.has(1, 2, 7) || !x.has(0, 2, 7) {
		t.Error("no excuse while faults last")
	}
	x.end(around(1, 3), 20)
	if !x.has(0, 1, 1000) {
		t.Error("one of two faults has ended, and there is no excuse")
	}
	if !x.has(1, 2, 30) || x.has(1, 2, 31) {
		t.Error("the grace after a fault is not what was said")
	}
	x.end(across([]bool{true, false, false}), 100)
	if !x.has(0, 1, 110) || x.has(0, 1, 111) || x.has(2, 0, 111) {
		t.Error("the grace after the second fault is not what was said")
	}
}
