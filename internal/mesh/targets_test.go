package mesh

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func TestTargetIsDialledOnceASecondUnderAnyNames(t *testing.T) {
	var ts targets
	victim := netip.MustParseAddrPort("10.1.0.9:80")
	start, dials := time.Unix(1_700_000_000, 0), 0
	for ms := range 10_000 {
		free, again := ts.take(start.Add(time.Duration(ms)*time.Millisecond), []netip.AddrPort{victim})
		dials += len(free)
		if !again.After(start) {
			t.Fatal("to be asked again in the past")
		}
	}
	if dials != 10 {
		t.Errorf("%d dials in 10 s", dials)
	}
}

func TestPortsOfOneMachineAreNotScanned(t *testing.T) {
	var ts targets
	start, dials := time.Unix(1_700_000_000, 0), 0
	for port := range uint16(20_000) {
		at := start.Add(time.Duration(port) * time.Millisecond / 2)
		free, _ := ts.take(at, []netip.AddrPort{netip.AddrPortFrom(netip.MustParseAddr("10.1.0.9"), port+1)})
		dials += len(free)
	}
	if most := machineBurst + int(10*time.Second/machineEvery) + 1; dials > most || dials < machineBurst {
		t.Errorf("%d dials in 10 s, at most %d wanted", dials, most)
	}
}

func TestTargetsAreBounded(t *testing.T) {
	var ts targets
	now := time.Unix(1_700_000_000, 0)
	for i := range 3 * maxTargets {
		a := netip.MustParseAddrPort(fmt.Sprintf("10.%d.%d.9:80", i/256, i%256))
		ts.take(now.Add(time.Duration(i)*time.Millisecond), []netip.AddrPort{a})
		if len(ts.last) > maxTargets || len(ts.machines) > maxTargets {
			t.Fatalf("%d addresses and %d machines are remembered", len(ts.last), len(ts.machines))
		}
	}
}
