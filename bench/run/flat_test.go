package main

import "testing"

func TestGrowth(t *testing.T) {
	if _, _, ok := growth(sample{1, 2, 3, 4, 5, 6, 7}); ok {
		t.Error("seven samples were enough")
	}
	first, last, ok := growth(sample{90, 50, 10, 11, 12, 13, 14, 15})
	if !ok || first != 10.5 || last != 14.5 {
		t.Errorf("got %v, %v, %v; want 10.5, 14.5", first, last, ok)
	}
}

func TestGrown(t *testing.T) {
	h := held{"goroutines", 0.1, 3}
	if err := h.grown(100, 113); err != nil {
		t.Error(err)
	}
	if h.grown(100, 113.5) == nil {
		t.Error("a leak passes")
	}
}
