//go:build linux

// Package lab builds networks of hosts on one machine, for tests and
// measurements with real sockets: each [Host] is a network namespace, each
// [Switch] a bridge, and between them are cables that can be cut, networks
// that can be split, frames that get lost.
//
//	func TestTwo(t *testing.T) {
//		lab.Require(t)
//		l := lab.New(t)
//		lan := l.Switch("lan")
//		a, b := l.Host("a", lan), l.Host("b", lan)
//		server := b.Start(exec.Command(server))
//		a.Cut(lab.Silent)
//		…
//		a.Heal()
//		server.Stop()
//	}
//
// Nothing of a lab is connected to the machine's own network or visible in it.
// Namespaces have no names: they live for as long as the program, or a process
// it started in them, and so cannot be left behind, even by a program that was
// killed.
//
// What a lab cannot do is delay and reorder frames. And all its hosts share one
// kernel: its processors, and its neighbour table, see [Lab.Neighbours].
//
// Methods that set up and change the lab report trouble through the T that the
// lab was made with. They may be called by several goroutines only as far as T
// allows that.
package lab

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
)

// T is what a lab needs of a test. Each testing.TB is one; [Run] makes one for
// a program that is no test.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// Lab is a set of networks. Everything in it ends with the T it was made with.
type Lab struct {
	t     T
	pilot *pilot
	floor *namespace // where the switches stand

	mu        sync.Mutex // guards what follows
	switches  []*Switch
	hosts     []*Host
	ports     int // so far
	counters  int // so far
	faults    faults
	static    bool // neighbours are entered for good
	processes []*Process
}

// New returns an empty lab. The machine must be able to have one: see
// [Require].
func New(t T) *Lab {
	t.Helper()
	l := &Lab{t: t, pilot: newPilot()}
	t.Cleanup(l.close)
	floor, err := newNamespace(map[string]string{
		// Switches and their ports are silent themselves.
		"net/ipv6/conf/all/disable_ipv6":     "1",
		"net/ipv6/conf/default/disable_ipv6": "1",
	})
	l.must(err)
	l.floor = floor
	return l
}

// close kills what runs and gives back the namespaces.
func (l *Lab) close() {
	l.mu.Lock()
	processes, hosts, switches := l.processes, l.hosts, l.switches
	l.mu.Unlock()
	for _, p := range processes {
		p.kill()
	}
	for _, p := range processes {
		<-p.done
	}
	for _, s := range switches {
		s.close()
	}
	for _, h := range hosts {
		h.ns.close()
	}
	if l.floor != nil {
		l.floor.close()
	}
	l.pilot.stop()
}

// must ends the test unless err is nil.
func (l *Lab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatalf("lab: %v", err)
	}
}

// Hosts returns the hosts, in the order in which they were made.
func (l *Lab) Hosts() []*Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.hosts)
}

// run runs a command in a namespace and returns what it printed.
func (l *Lab) run(ns *namespace, stdin string, cmd *exec.Cmd) (string, error) {
	var out, errs strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := l.pilot.start(ns, cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, errs.String())
	}
	return out.String(), nil
}

// ip has ip(8) carry out commands in a namespace. They can refer to the
// namespace of peer, if it is not nil, as peerNamespace.
func (l *Lab) ip(ns, peer *namespace, commands ...string) error {
	if len(commands) == 0 {
		return nil
	}
	cmd := exec.Command("ip", "-batch", "-")
	if peer != nil {
		cmd.ExtraFiles = append(cmd.ExtraFiles, peer.file)
	}
	_, err := l.run(ns, strings.Join(commands, "\n")+"\n", cmd)
	if err != nil {
		return fmt.Errorf("%w%s", err, strings.Join(commands, "\n"))
	}
	return nil
}

const peerNamespace = "/proc/self/fd/3"

// nft has nft(8) carry out a script in a namespace, all of it or nothing.
func (l *Lab) nft(ns *namespace, script string) error {
	_, err := l.run(ns, script, exec.Command("nft", "-f", "-"))
	return err
}
