// Handshake measures what it costs two nodes to make a socket private, both ends in
// this process, over loopback: a bare TCP connection, crypto/tls with a certificate on
// each side, a node's whole handshake, and its second one, which resumes the first.
// Kinds take turns, so that all see the same machine.
package main

import (
	"crypto/rand"
	"crypto/tls"
	"flag"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"example.com/tcpnet/bench/report"
	"example.com/tcpnet/internal/secure"
)

func main() {
	started := report.Now()
	count := flag.Int("count", 300, "`handshakes` of each kind")
	flag.Parse()
	w := report.NewWriter(os.Stdout)
	w.Write(report.Event{Kind: report.Started, At: started})
	if err := measure(w, *count); err != nil {
		fmt.Fprintln(os.Stderr, "handshake:", err)
		os.Exit(1)
	}
	w.Now(report.Result, "", "done=1")
	report.Serve(os.Stdin, w, nil)
}

// batch is how many handshakes of one kind are made before the next kind.
const batch = 25

// kind is one way to connect: what each side does with its socket.
type kind struct {
	name           string
	client, server func(net.Conn) error
}

// measure makes count handshakes of each kind and reports their cost by batches.
func measure(w *report.Writer, count int) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer ln.Close()
	secret := make([]byte, 32)
	rand.Read(secret)
	acceptor, err := newGuard(secret)
	if err != nil {
		return err
	}
	certificate, err := newCertificate()
	if err != nil {
		return err
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequireAnyClientCert,
		InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true,
	}
	for range (count + batch - 1) / batch {
		var fresh []*secure.Guard // none of which has met the acceptor
		for range batch {
			g, err := newGuard(secret)
			if err != nil {
				return err
			}
			fresh = append(fresh, g)
		}
		first, second := 0, 0
		for _, k := range []kind{
			{"tcp", pass, pass},
			{"crypto/tls", shake(tls.Client, config), shake(tls.Server, config)},
			{"full", func(c net.Conn) error { first++; return enter(fresh[first-1], c) }, func(c net.Conn) error { return admit(acceptor, c) }},
			{"resumed", func(c net.Conn) error { second++; return enter(fresh[second-1], c) }, func(c net.Conn) error { return admit(acceptor, c) }},
		} {
			begin, cpu := time.Now(), processorTime()
			for range batch {
				if err := meet(ln, k); err != nil {
					return fmt.Errorf("%s: %w", k.name, err)
				}
			}
			took, used := time.Since(begin), processorTime()-cpu
			w.Now(report.Result, "", fmt.Sprintf("kind=%s cpu=%.1f wall=%.1f", k.name,
				float64(used.Microseconds())/batch, float64(took.Microseconds())/batch))
		}
	}
	return nil
}

// meet connects two sockets and lets both sides do their part.
func meet(ln net.Listener, k kind) error {
	done := make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		if err == nil {
			err = k.server(c)
			c.Close()
		}
		done <- err
	}()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		return err
	}
	defer c.Close()
	if err := k.client(c); err != nil {
		return err
	}
	return <-done
}

// pass sends a byte and waits for the other's.
func pass(c net.Conn) error {
	if _, err := c.Write([]byte{1}); err != nil {
		return err
	}
	_, err := c.Read(make([]byte, 1))
	return err
}

func shake(role func(net.Conn, *tls.Config) *tls.Conn, config *tls.Config) func(net.Conn) error {
	return func(c net.Conn) error { return pass(role(c, config)) }
}

func enter(g *secure.Guard, c net.Conn) error {
	p, err := g.Client(c)
	if err != nil {
		return err
	}
	return pass(p)
}

func admit(g *secure.Guard, c net.Conn) error {
	p, err := g.Server(c)
	if err != nil {
		return err
	}
	return pass(p)
}

func newGuard(secret []byte) (*secure.Guard, error) {
	return secure.New(secure.Options{Name: "bench", ID: "A", Secrets: [][]byte{secret}})
}

// processorTime is what this process has used so far.
func processorTime() time.Duration {
	var r unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
