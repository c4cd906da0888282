package main

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// lan is hosts, each a network namespace with one interface, on one bridge.
// The bridge is in the harness's own namespace, which has no way out.
type lan struct {
	hosts []int        // descriptors of the hosts' namespaces
	own   int          // that of the harness
	spawn chan request // to the one thread that enters hosts
}

type request struct {
	host int
	cmd  *exec.Cmd
	done chan error
}

func newLAN(n int) (*lan, error) {
	l := &lan{spawn: make(chan request)}
	var err error
	if l.own, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return nil, err
	}
	var b strings.Builder
	b.WriteString("link set lo up\nlink add br0 type bridge mcast_snooping 0 forward_delay 0\nlink set br0 up\n")
	for i := range n {
		fd, err := newNamespace()
		if err != nil {
			return nil, err
		}
		l.hosts = append(l.hosts, fd)
		fmt.Fprintf(&b, "link add v%d type veth peer name eth0 address %s netns /proc/%d/fd/%d\nlink set v%d master br0 up\n", i, l.mac(i), os.Getpid(), fd, i)
	}
	if err := batch("ip", b.String()); err != nil {
		return nil, err
	}
	go l.spawner()
	for i := range n {
		var b strings.Builder
		fmt.Fprintf(&b, "link set lo up\naddr add %s/16 dev eth0\nlink set eth0 up\nroute add default dev eth0\n", l.addr(i))
		if n > 32 {
			for j := range n {
				if j != i {
					fmt.Fprintf(&b, "neigh replace %s lladdr %s dev eth0 nud permanent\n", l.addr(j), l.mac(j))
				}
			}
		}
		c := exec.Command("ip", "-batch", "-")
		c.Stdin = strings.NewReader(b.String())
		c.Stderr = os.Stderr
		if err := l.start(i, c); err != nil {
			return nil, err
		}
		if err := c.Wait(); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (l *lan) close() {
	close(l.spawn)
	for i, fd := range l.hosts {
		batch("ip", fmt.Sprintf("link del v%d\n", i))
		unix.Close(fd)
	}
	unix.Close(l.own)
	batch("ip", "link del br0\n")
	batch("nft", "flush ruleset\n")
}

func (l *lan) addr(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 77, 1, byte(i + 1)}) }
func (l *lan) mac(i int) string      { return fmt.Sprintf("02:00:00:00:01:%02x", i+1) }

func (l *lan) start(i int, c *exec.Cmd) error {
	r := request{i, c, make(chan error)}
	l.spawn <- r
	return <-r.done
}

func (l *lan) spawner() {
	runtime.LockOSThread()
	for r := range l.spawn {
		err := unix.Setns(l.hosts[r.host], unix.CLONE_NEWNET)
		if err == nil {
			err = r.cmd.Start()
			if err2 := unix.Setns(l.own, unix.CLONE_NEWNET); err2 != nil {
				panic(err2)
			}
		}
		r.done <- err
	}
}

func (l *lan) loss(percent int) error {
	return batch("nft", fmt.Sprintf("table bridge t {\nchain c {\ntype filter hook forward priority 0\nnumgen random mod 100 < %d drop\n}\n}\n", percent))
}

func batch(tool, script string) error {
	c := exec.Command(tool, "-f", "-")
	if tool == "ip" {
		c = exec.Command("ip", "-batch", "-")
	}
	c.Stdin = strings.NewReader(script)
	c.Stderr = os.Stderr
	return c.Run()
}

func newNamespace() (int, error) {
	type res struct {
		fd  int
		err error
	}
	ch := make(chan res)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			ch <- res{0, err}
			return
		}
		fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		ch <- res{fd, err}
	}()
	r := <-ch
	return r.fd, r.err
}

type traffic struct{ mdns, packets, bytes uint64 }

func (l *lan) sent() (traffic, error) { return traffic{}, nil }
func (l *lan) cut(i int) error        { return batch("ip", fmt.Sprintf("link set v%d down\n", i)) }
func (l *lan) mend(i int) error       { return batch("ip", fmt.Sprintf("link set v%d up\n", i)) }
func (l *lan) split(k int) error {
	var a, b []string
	for i := range l.hosts {
		if i < k {
			a = append(a, fmt.Sprintf("v%d", i))
		} else {
			b = append(b, fmt.Sprintf("v%d", i))
		}
	}
	A, B := strings.Join(a, ","), strings.Join(b, ",")
	return batch("nft", fmt.Sprintf("table bridge t {\nchain c {\ntype filter hook forward priority 0\niifname {%s} oifname {%s} drop\niifname {%s} oifname {%s} drop\n}\n}\n", A, B, B, A))
}
func (l *lan) merge() error { return batch("nft", "flush ruleset\n") }
