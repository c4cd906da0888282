//go:build linux

package labtest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/internal/lab"
)

// echo is a service that every node of the lab has: it answers with what it reads.
const echo = "echo"

func serveEcho(node *tcpnet.Node) {
	ln, err := node.Listen(echo)
	if err != nil {
		return // it is closed already
	}
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			io.Copy(c, c)
		}()
	}
}

// open opens streams to a peer, all at once, says something on each, and tells what
// came of them when all have heard it again.
func (p *nodeProgram) open(node *tcpnet.Node, count int, peer tcpnet.ID) {
	e := event{Kind: streamed, ID: peer}
	var mu sync.Mutex // guards e
	var wg sync.WaitGroup
	begin := time.Now()
	for i := range count {
		wg.Go(func() {
			c, err := say(node, peer, fmt.Sprint("stream ", i))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				e.Text = err.Error()
				return
			}
			e.Opened++
			if slices.Contains(node.Addrs(), addrPort(c.LocalAddr())) {
				e.Back++ // it has come in at the port that the node listens on
			}
		})
	}
	wg.Wait()
	e.Took = time.Since(begin)
	p.tell(e)
}

// say opens one stream, and closes it when what was said came back.
func say(node *tcpnet.Node, peer tcpnet.ID, text string) (*tcpnet.Stream, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := node.DialContext(ctx, string(peer), echo)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	s := c.(*tcpnet.Stream)
	s.SetDeadline(time.Now().Add(patience))
	io.WriteString(s, text)
	s.CloseWrite()
	if got, err := io.ReadAll(s); err != nil || string(got) != text {
		return nil, fmt.Errorf("%q came back as %q: %v", text, got, err)
	}
	return s, nil
}

// streams lets a member open streams to another, and returns what it tells.
func (m *member) streams(count int, to *member) (e event) {
	m.cluster.t.Helper()
	before := len(m.all(streamed))
	if _, err := fmt.Fprintf(m.stdin, "stream %d %s\n", count, to.id); err != nil {
		m.cluster.t.Fatal(err)
	}
	m.cluster.await(2*patience, func() error {
		n := 0
		for _, e = range m.events {
			if e.Kind == streamed {
				if n++; n > before {
					return nil
				}
			}
		}
		return fmt.Errorf("%v does not tell of its streams", m)
	})
	if e.Opened != count {
		m.cluster.t.Fatalf("%v has opened %d streams of %d to %v: %s", m, e.Opened, count, to, e.Text)
	}
	m.cluster.t.Logf("%d streams from %v to %v after %v, %d dialled by the peer", count, m, to, e.Took.Round(time.Microsecond), e.Back)
	return e
}

// A hundred streams at once, from one machine to another, are no strangers.
func TestManyStreamsFromOneMachine(t *testing.T) {
	l := newLab(t)
	hs := hosts(l, 2, l.Switch("lan"), lab.NoDAD)
	c := newCluster(t)
	a, b := c.start(hs[0]), c.start(hs[1])
	c.meshed(patience, a, b)
	for _, from := range []*member{a, b} {
		to := a
		if from == a {
			to = b
		}
		if e := from.streams(1, to); e.Back != 0 {
			t.Errorf("%v was asked to dial without need", to)
		}
		from.streams(200, to)
		if turned := to.inspect().Status.Strangers.Busy; turned > 0 {
			t.Errorf("%v has turned %d sockets away", to, turned)
		}
	}
}

// If a firewall lets one direction through alone, the side that can dials the sockets
// of all streams, whoever opens them.
func TestStreamsThroughAFirewall(t *testing.T) {
	for name, rule := range map[string]lab.Rule{"that is silent": lab.NoInboundTCP, "that refuses": lab.RefuseTCP} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			hs := hosts(l, 2, l.Switch("lan"), lab.NoDAD)
			hs[1].Firewall(rule)
			c := newCluster(t)
			out, walled := c.start(hs[0]), c.start(hs[1])
			c.meshed(patience, out, walled)
			for _, count := range []int{1, 1, 200} {
				if e := out.streams(count, walled); e.Back != count {
					t.Errorf("%d of %d streams were dialled through the firewall", count-e.Back, count)
				}
				if e := walled.streams(count, out); e.Back != 0 {
					t.Errorf("%d streams were dialled through the firewall", e.Back)
				}
			}
			// It can change sides while both run.
			hs[1].Firewall()
			hs[0].Firewall(rule)
			if e := out.streams(100, walled); e.Back != 0 {
				t.Logf("%d of 100 are still asked for", e.Back)
			}
			if e := walled.streams(100, out); e.Back != 100 {
				t.Errorf("%d of 100 were dialled through the firewall", 100-e.Back)
			}
		})
	}
}

// A tenth of all packets is lost, and every stream is opened.
func TestStreamsWithLoss(t *testing.T) {
	l := newLab(t)
	hs := hosts(l, 2, l.Switch("lan"), lab.NoDAD)
	c := newCluster(t)
	a, b := c.start(hs[0]), c.start(hs[1])
	c.meshed(patience, a, b)
	l.Loss(10)
	a.streams(30, b)
	b.streams(30, a)
}
