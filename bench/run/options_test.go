package main

import (
	"slices"
	"testing"
)

func TestCounts(t *testing.T) {
	c := counts{7}
	if err := c.Set("1,10,50"); err != nil || !slices.Equal(c, counts{1, 10, 50}) {
		t.Errorf("got %v, %v", c, err)
	}
	if got := c.String(); got != "1,10,50" {
		t.Errorf("String() = %q", got)
	}
	for _, s := range []string{"", "0", "1,,2", "-3", "ten"} {
		if err := c.Set(s); err == nil {
			t.Errorf("Set(%q) gave no error", s)
		}
	}
}

func TestEachSystemGoesFirstInTurn(t *testing.T) {
	o := options{liveness: "none"}
	var err error
	if o.systems, err = systemsNamed("floor,tcpnet", o); err != nil {
		t.Fatal(err)
	}
	if a, b := o.order(0), o.order(1); a[0].name() != "floor" || b[0].name() != "tcpnet" || len(b) != 2 || b[1].name() != "floor" {
		t.Errorf("order is %v, then %v", a, b)
	}
}

func TestTheFloorWithTwoSocketsIsAnotherSystem(t *testing.T) {
	both, err := systemsNamed("floor2,floor", options{liveness: "none", floor: []string{"-redial", "1ms"}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		name  string
		flags []string
	}{{"floor2", []string{"-redial", "1ms", "-link"}}, {"floor", []string{"-redial", "1ms"}}} {
		if s := both[i].(floorSystem); s.name() != want.name || !slices.Equal(s.flags, want.flags) {
			t.Errorf("%s has flags %q", s.name(), s.flags)
		}
	}
}

func TestUnknownNamesAreRefused(t *testing.T) {
	if _, err := systemsNamed("floor,carrier-pigeon", options{liveness: "none"}); err == nil {
		t.Error("an unknown system gave no error")
	}
	if _, err := systemsNamed("floor", options{liveness: "eternal"}); err == nil {
		t.Error("an unknown liveness gave no error")
	}
}
