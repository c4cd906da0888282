package main

import "example.com/tcpnet/internal/lab"

// counted are the kinds of frames that are told apart, as nftables matches.
var counted = map[string]string{"all": "", "mdns": "udp dport 5353", "tcp": "meta l4proto tcp"}

// meter counts what all hosts send into the switch, by kind.
type meter map[string]*lab.Counter

func newMeter(l *lan) meter {
	m := make(meter)
	for kind, match := range counted {
		m[kind] = l.middle.Count(match)
	}
	return m
}

// traffic is what a meter has counted so far.
type traffic struct {
	frames, bytes map[string]int // by kind
}

func (m meter) read() traffic {
	t := traffic{make(map[string]int), make(map[string]int)}
	for kind, c := range m {
		t.frames[kind], t.bytes[kind] = c.Read()
	}
	return t
}
