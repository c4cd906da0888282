//go:build linux

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
)

// Require skips the test if this machine cannot have a lab, and says why. With
// CI=true in the environment the test fails instead: there, a test that does
// not run is a fault.
func Require(t interface {
	Helper()
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
}) {
	t.Helper()
	err := missing()
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("no lab: %v", err)
	default:
		t.Skipf("no lab: %v", err)
	}
}

// missing returns what is missing for a lab.
var missing = sync.OnceValue(func() error {
	for _, name := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("install iproute2 and nftables: %w", err)
		}
	}
	ns, err := newNamespace(nil)
	if err != nil {
		return fmt.Errorf("run as root, or in 'unshare --user --map-root-user': %w", err)
	}
	defer ns.close()
	l := &Lab{pilot: newPilot()}
	defer l.pilot.stop()
	if err := l.ip(ns, nil, "link add name br type bridge", "link add name port type veth peer name eth0"); err != nil {
		return fmt.Errorf("the kernel needs bridge and veth: %w", err)
	}
	if err := l.nft(ns, probe); err != nil {
		return fmt.Errorf("the kernel needs nftables for bridges, with numgen: %w", err)
	}
	return nil
})

// probe uses what labs use of nftables.
const probe = `
table bridge probe {
	counter c { }
	set ports { type ifname; elements = { "port" }; }
	chain forward {
		type filter hook forward priority 0;
		iifname @ports drop
		numgen random mod 100 < 20 drop
	}
	chain prerouting {
		type filter hook prerouting priority -300;
		iifname "port*" udp dport 5353 counter name c
	}
}
table inet probe {
	chain input {
		type filter hook input priority 0;
		tcp flags & (syn | ack) == syn reject with tcp reset
	}
}
`
