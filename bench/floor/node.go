package main

import (
	"context"
	"io"
	"net"
	"sync"
	"time"

	"example.com/tcpnet/bench/message"
	"example.com/tcpnet/bench/report"
)

// node is one member of the mesh. Of each pair, the one that is later in the
// order of all nodes dials: the other has listened for longer, and there is
// exactly one connection.
type node struct {
	id          int
	addr        string
	peers       []string // the addresses of the nodes 0, 1, ...; those below id are dialled
	dialTimeout time.Duration
	redial      time.Duration
	heartbeat   time.Duration
	dead        time.Duration
	report      *report.Writer
	sink        *message.Sink
	drop        bool
	link        bool      // a socket of its own goes before each connection
	boxes       []*outbox // of broadcast

	mu    sync.Mutex // guards conns
	conns map[net.Conn]*outbox
}

// start listens, reports Ready and begins to dial. The node then runs until
// the process ends.
func (n *node) start() error {
	n.conns = make(map[net.Conn]*outbox)
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(context.Background(), "tcp", n.addr)
	if err != nil {
		return err
	}
	n.report.Now(report.Ready, "", ln.Addr().String())
	go n.accept(ln)
	for i, addr := range n.peers {
		if i < n.id {
			go n.dial(addr)
		}
	}
	if n.heartbeat > 0 {
		go n.beat()
	}
	return nil
}

// accept serves each connection that a later node opened.
func (n *node) accept(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go n.serve(c)
	}
}

// dial keeps one connection to an earlier node, for ever.
func (n *node) dial(addr string) {
	d := net.Dialer{Timeout: n.dialTimeout}
	d.SetMultipathTCP(false)
	for {
		n.connect(&d, addr)
		time.Sleep(n.redial)
	}
}

// connect dials an earlier node and serves the connection until it ends.
func (n *node) connect(d *net.Dialer, addr string) {
	if n.link {
		l, err := d.Dial("tcp", addr)
		if err != nil {
			return
		}
		defer l.Close()
		if _, _, err := n.hello(l, linkMagic); err != nil {
			return
		}
		go io.Copy(io.Discard, l)
	}
	if c, err := d.Dial("tcp", addr); err == nil {
		n.serve(c)
	}
}

// beat sends one byte on every connection, again and again. A connection whose
// send buffer is full is as silent as one that is cut: its reader finds out.
func (n *node) beat() {
	for range time.Tick(n.heartbeat) {
		n.mu.Lock()
		for c := range n.conns {
			c.SetWriteDeadline(time.Now().Add(time.Millisecond))
			c.Write([]byte{0})
		}
		n.mu.Unlock()
	}
}
