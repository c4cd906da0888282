package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"example.com/tcpnet/bench/report"
	"example.com/tcpnet/internal/lab"
)

// trials are the rows of docs/RELIABILITY.md, in its order.
var trials = []trial{
	{name: "kill", nodes: 10, rows: []row{
		{fault: "kill -9, of 10: until all others were told", promise: "1 s"},
		{fault: "started again with the same ID: until all are connected, after it listens", promise: "1 s"},
	}, once: killed},
	{name: "hang", nodes: 10, rows: []row{
		{fault: "SIGSTOP, of 10: until all others were told", promise: "the time-out, 10 s"},
		{fault: "SIGCONT: until all are connected", promise: "5 s"},
	}, once: hung(func(t *try) { t.members[0].signal(syscall.SIGSTOP) }, func(t *try) { t.members[0].signal(syscall.SIGCONT) })},
	{name: "hiccup", nodes: 10, rows: []row{
		{fault: "SIGSTOP for 6 s, of 10: connections lost", promise: "none", number: true},
	}, once: harmless(6*time.Second, func(t *try) { t.members[0].signal(syscall.SIGSTOP) }, func(t *try) { t.members[0].signal(syscall.SIGCONT) })},
	{name: "cut", nodes: 10, rows: cutRows("idle"), once: hung(unplugged(lab.NoCarrier), plugged)},
	{name: "cut-busy", nodes: 10, rows: cutRows("busy"), busy: true, once: hung(unplugged(lab.NoCarrier), plugged)},
	{name: "silence", nodes: 10, rows: []row{
		{fault: "cable dead, which no one sees, of 10: until all others were told", promise: "the time-out, 10 s"},
		{fault: "mended: until all are connected", promise: "5 s"},
	}, once: hung(unplugged(lab.Silent), plugged)},
	{name: "blink", nodes: 10, rows: []row{
		{fault: "cable out for 3 s, idle, of 10: connections lost", promise: "none", number: true},
	}, once: harmless(3*time.Second, unplugged(lab.NoCarrier), plugged)},
	{name: "blink-busy", nodes: 10, busy: true, rows: []row{
		{fault: "cable out for 3 s, busy, of 10: connections lost", promise: "none", number: true},
	}, once: harmless(3*time.Second, unplugged(lab.NoCarrier), plugged)},
	{name: "split-2-10s", nodes: 10, rows: splitRows("5+5", "10 s", "5 s"), once: apart(2, 10*time.Second)},
	{name: "split-3-10s", nodes: 9, rows: splitRows("3+3+3", "10 s", "5 s"), once: apart(3, 10*time.Second)},
	{name: "split-2-120s", nodes: 10, rows: splitRows("5+5", "120 s", "10 s"), once: apart(2, 120*time.Second)},
	{name: "split-3-120s", nodes: 9, rows: splitRows("3+3+3", "120 s", "10 s"), once: apart(3, 120*time.Second)},
	{name: "interface", nodes: 10, rows: []row{
		{fault: "interface removed, of 10: until all others were told", promise: "the time-out, 10 s"},
		{fault: "made anew: until all are connected", promise: "5 s"},
	}, once: hung(
		func(t *try) { t.lan.hosts[0].Ports()[0].Unplug() },
		func(t *try) { t.lan.hosts[0].Plug(t.lan.middle) },
	)},
	{name: "address", nodes: 10, rows: []row{
		{fault: "IPv4 address changed, of 10 that have no other: until all are connected by the new one", promise: "5 s"},
	}, hosts: onlyIPv4, once: renumbered},
	{name: "second-interface", nodes: 3, rows: []row{
		{fault: "second interface added: until connected with a node on that network", promise: "5 s"},
	}, hosts: twoNetworks, once: secondInterface},
	{name: "ipv6", nodes: 10, rows: []row{
		{fault: "IPv6 link-local only, 10 start: until all are connected, after the last listens", promise: "1 s"},
	}, hosts: func(l *lan, n int) { l.plug(n, lab.NoIPv4) }, once: started},
	{name: "docker", nodes: 10, rows: []row{
		{fault: "docker0 with one address on every host, 10 start: until all are connected, after the last listens", promise: "1 s"},
	}, hosts: func(l *lan, n int) {
		l.plug(n)
		for _, h := range l.hosts {
			h.Docker()
		}
	}, once: started},
	{name: "firewall-small", nodes: 10, rows: []row{
		{fault: "inbound TCP blocked on the node with the smallest ID, 10 start: until all are connected, after the last listens", promise: "5 s"},
	}, hosts: walled, node: idOfFirst("00"), once: started},
	{name: "firewall-large", nodes: 10, rows: []row{
		{fault: "inbound TCP blocked on the node with the largest ID, 10 start: the same", promise: "5 s"},
	}, hosts: walled, node: idOfFirst("FF"), once: started},
	{name: "no-multicast", nodes: 10, rows: []row{
		{fault: "multicast blocked everywhere, one seed, which starts first of 10: until all are connected, after the last listens", promise: "5 s"},
	}, hosts: func(l *lan, n int) {
		l.plug(n)
		for _, h := range l.hosts {
			h.Firewall(lab.NoMulticast)
		}
	}, node: func(t *try, place int) flags {
		if place == 0 {
			return flags{more: []string{"-addr", ":4000"}}
		}
		return flags{more: []string{"-seed", t.lan.hosts[0].Addr().String() + ":4000"}}
	}, once: started},
	{name: "loss", nodes: 10, rows: []row{
		{fault: "30 % of all frames lost, 10 start: until all are connected, after the last listens", promise: "60 s"},
	}, hosts: func(l *lan, n int) { l.plug(n); l.Loss(30) }, once: started},
	{name: "hundred", nodes: 100, rows: []row{
		{fault: "100 nodes start at once: until all 4,950 pairs are connected, after the last listens", promise: "30 s"},
	}, once: started},
	{name: "descriptors", nodes: 9, rows: []row{
		{fault: "no file descriptors left in one of 6: connections lost while 3 more start", promise: "none", number: true},
		{fault: "there are some again: until all are connected", promise: "5 s"},
	}, once: exhausted},
}

func cutRows(what string) []row {
	return []row{
		{fault: "cable out, " + what + ", of 10: until all others were told", promise: "the time-out, 10 s"},
		{fault: "cable back, " + what + ": until all are connected", promise: "5 s"},
	}
}

func splitRows(parts, away, promise string) []row {
	return []row{
		{fault: "split " + parts + " for " + away + ", healed: until all are connected", promise: promise},
		{fault: "the same: connections lost within the parts", promise: "none", number: true},
	}
}

// killed kills the first node and starts it again.
func killed(t *try) ([]float64, error) {
	if ok, err := t.assemble(len(t.lan.hosts), t.options); !ok {
		return nil, err
	}
	m := t.members[0]
	_, told, err := t.untilSeen(0, m.signal(syscall.SIGKILL), t.options)
	if err != nil {
		return nil, err
	}
	m.kill()
	if err := t.again(0, m.id); err != nil {
		return told, err
	}
	back, err := t.untilFullAgain(0, t.options)
	if err != nil {
		return told, err
	}
	at, _ := t.seen.fullAt(t.places())
	if back != failed {
		back = max(0, ms(at-t.members[0].ready))
	}
	return []float64{told[0], back}, nil
}

// hung takes the first node away until all others were told, and brings it back.
func hung(away, back func(*try)) func(*try) ([]float64, error) {
	return func(t *try) ([]float64, error) {
		if ok, err := t.assemble(len(t.lan.hosts), t.options); !ok {
			return nil, err
		}
		began := report.Now()
		away(t)
		_, told, err := t.untilSeen(0, began, t.options)
		if err != nil {
			return nil, err
		}
		mended := timed(func() { back(t) })
		again, err := t.untilFullAgain(mended, t.options)
		return append(told, again), err
	}
}

// harmless takes the first node away for a while, and counts who lost anything.
func harmless(lasts time.Duration, away, back func(*try)) func(*try) ([]float64, error) {
	return func(t *try) ([]float64, error) {
		if ok, err := t.assemble(len(t.lan.hosts), t.options); !ok {
			return nil, err
		}
		t.seen.calm()
		away(t)
		time.Sleep(lasts)
		back(t)
		_, err := t.wait(15*time.Second, func() bool { return false })
		return []float64{float64(t.seen.count(report.Gone))}, err
	}
}

func unplugged(how lab.Cut) func(*try) {
	return func(t *try) { t.lan.hosts[0].Cut(how) }
}

func plugged(t *try) { t.lan.hosts[0].Heal() }

// apart splits the network for a while.
func apart(parts int, away time.Duration) func(*try) ([]float64, error) {
	return func(t *try) ([]float64, error) {
		n := len(t.lan.hosts)
		if ok, err := t.assemble(n, t.options); !ok {
			return nil, err
		}
		within := 0
		t.watch = func(from int, e report.Event) {
			if to, known := t.seen.index[e.Peer]; known && e.Kind == report.Gone && from*parts/n == to*parts/n {
				within++
			}
		}
		var groups [][]*lab.Host
		for i := range parts {
			groups = append(groups, t.lan.hosts[i*n/parts:(i+1)*n/parts])
		}
		t.lan.Split(groups...)
		if _, err := t.wait(away, func() bool { return false }); err != nil {
			return nil, err
		}
		healed := timed(t.lan.Heal)
		again, err := t.untilFullAgain(healed, t.options)
		return []float64{again, float64(within)}, err
	}
}

// started starts as many nodes as there are hosts, at once.
func started(t *try) ([]float64, error) {
	if err := t.startAll(len(t.lan.hosts), 0); err != nil {
		return nil, err
	}
	at, full, err := t.waitFull(t.limit)
	if err != nil || !full {
		t.incomplete("at the time limit")
		return nil, err
	}
	var last int64
	for _, m := range t.members {
		last = max(last, m.ready)
	}
	return []float64{max(0, ms(at-last))}, nil
}

func onlyIPv4(l *lan, n int) {
	l.plug(n)
	for _, h := range l.hosts {
		h.IP(fmt.Sprintf("address del %s/64 dev eth0", h.LinkLocal()))
	}
}

// renumbered gives the first host another address.
func renumbered(t *try) ([]float64, error) {
	if ok, err := t.assemble(len(t.lan.hosts), t.options); !ok {
		return nil, err
	}
	h := t.lan.hosts[0]
	began := timed(func() { h.IP(fmt.Sprintf("address del %s/16 dev eth0", h.Addr()), "address add 10.1.99.1/16 dev eth0") })
	var at int64
	ok, err := t.wait(t.limit, func() (full bool) {
		at, full = t.seen.fullAt(t.places())
		return full && t.renewed(0, began)
	})
	if err != nil || !ok {
		t.incomplete("after the address has changed")
		return nil, err
	}
	return []float64{ms(at - began)}, nil
}

// renewed reports whether all connections of a node began after the given time.
func (f *fleet) renewed(place int, since int64) bool {
	for other := range f.members {
		if other != place && (f.seen.half(place, other).one < since || f.seen.half(other, place).one < since) {
			return false
		}
	}
	return true
}

// twoNetworks are two hosts on one switch and a third on another.
func twoNetworks(l *lan, _ int) {
	l.plug(2)
	l.hosts = append(l.hosts, l.Host("far", l.Switch("far"), lab.NoDAD))
}

// secondInterface plugs the second host into the third one's network.
func secondInterface(t *try) ([]float64, error) {
	if err := t.startAll(3, 0); err != nil {
		return nil, err
	}
	ok, err := t.wait(t.limit, func() bool {
		_, joined := t.seen.joinedAt(0, []int{1})
		return joined && t.members[2].ready > 0
	})
	if err != nil || !ok {
		return nil, err
	}
	time.Sleep(t.settle)
	began := timed(func() { t.lan.hosts[1].Plug(t.lan.hosts[2].Ports()[0].Switch) })
	var at int64
	ok, err = t.wait(t.limit, func() (joined bool) {
		at, joined = t.seen.joinedAt(1, []int{2})
		return joined
	})
	if err != nil || !ok {
		return nil, err
	}
	return []float64{max(0, ms(at-began))}, nil
}

// walled are hosts of which the first lets nobody in.
func walled(l *lan, n int) {
	l.plug(n)
	l.hosts[0].Firewall(lab.NoInboundTCP)
}

func idOfFirst(id string) func(*try, int) flags {
	return func(_ *try, place int) (f flags) {
		if place == 0 {
			f.id = id
			for len(f.id) < 32 {
				f.id += id
			}
		}
		return f
	}
}

// exhausted takes all file descriptors that are left from a node while others
// start, and gives it some again.
func exhausted(t *try) ([]float64, error) {
	if ok, err := t.assemble(6, t.options); !ok {
		return nil, err
	}
	pid := t.members[0].process.Cmd.Process.Pid
	open, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		return nil, err
	}
	var before unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(len(open)), Max: 1024}, &before); err != nil {
		return nil, os.NewSyscallError("prlimit", err)
	}
	t.seen.calm()
	if err := t.startAll(3, 0); err != nil {
		return nil, err
	}
	others := t.places()[1:]
	full, err := t.wait(t.limit, func() bool { _, full := t.seen.fullAt(others); return full })
	if err != nil || !full {
		return nil, err
	}
	if _, err := t.wait(15*time.Second, func() bool { return false }); err != nil {
		return nil, err
	}
	lost := float64(t.seen.count(report.Gone))
	given := timed(func() { err = unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1024, Max: 1024}, nil) })
	if err != nil {
		return nil, os.NewSyscallError("prlimit", err)
	}
	again, err := t.untilFullAgain(given, t.options)
	return []float64{lost, again}, err
}
