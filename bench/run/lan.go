package main

import (
	"fmt"

	"example.com/tcpnet/internal/lab"
)

// lan is the network of one case: hosts on one switch, without a way out.
type lan struct {
	*lab.Lab
	middle *lab.Switch
	hosts  []*lab.Host
}

// crowd is how many hosts may find out one another's hardware addresses for
// themselves. More fill the kernel's neighbour table: see [lab.Lab.Neighbours].
const crowd = 32

// onLAN calls f with a network of n hosts.
func onLAN(n int, f func(*lan) error) error {
	var err error
	if fault := lab.Run(func(t lab.T) {
		l := &lan{Lab: lab.New(t)}
		l.middle = l.Switch("lan")
		l.plug(n)
		if n > crowd {
			l.Neighbours()
		}
		err = f(l)
	}); fault != nil {
		return fault
	}
	return err
}

// plug makes n hosts on the switch.
func (l *lan) plug(n int, opts ...lab.Option) {
	for range n {
		l.hosts = append(l.hosts, l.Host(fmt.Sprintf("h%d", len(l.hosts)), append([]lab.Option{l.middle, lab.NoDAD}, opts...)...))
	}
}

// forget makes the hosts' kernels forget what they have learnt of one another:
// hardware addresses, unless they were entered for good, and round-trip times.
// Every run starts as the first one did.
func (l *lan) forget() {
	for _, h := range l.hosts {
		h.IP("neighbour flush dev eth0", "tcp_metrics flush")
	}
}
