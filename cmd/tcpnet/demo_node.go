package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"example.com/tcpnet"
	"github.com/urfave/cli/v3"
)

// demoNodeVerb is the hidden verb that one process of the demo runs.
const demoNodeVerb = "demo-node"

func newDemoNode() *cli.Command {
	return &cli.Command{
		Name:   demoNodeVerb,
		Usage:  "one process of the demo",
		Hidden: true,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "label"},
			&cli.Int64Flag{Name: "start"},
			&cli.BoolFlag{Name: "verbose"},
		},
		OnUsageError: wrongUsage,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			name, err := oneArgument(cmd, "NAME")
			if err != nil {
				return err
			}
			n := &demoNode{
				began:  time.Now(),
				label:  cmd.String("label"),
				out:    json.NewEncoder(os.Stdout),
				events: make(chan any),
			}
			cfg := tcpnet.Config{Name: name, Label: n.label, Addr: "127.0.0.1:0", Handler: n.serve}
			if cmd.Bool("verbose") {
				log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
				cfg.Logger = log.With("node", n.label)
			}
			return n.run(ctx, cfg, time.Unix(0, cmd.Int64("start")))
		},
	}
}

// What a process of the demo reports to its parent.
const (
	reportStart  = "start"  // it will join
	reportUp     = "up"     // it has joined
	reportJoined = "joined" // it is connected to Peer
	reportLeft   = "left"   // it is not any more
	reportRound  = "round"  // what it has heard of a round of messages
	reportEnd    = "end"    // it has left
)

// report is one line, in JSON, on the standard output of a process of the demo.
type report struct {
	Kind     string    `json:"kind"`
	At       time.Time `json:"at"`
	Start    time.Time `json:"start,omitzero"`
	Peer     string    `json:"peer,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Round    int       `json:"round,omitempty"`
	Heard    []message `json:"heard,omitempty"`
	Sent     int       `json:"sent,omitempty"`
	Received int       `json:"received,omitempty"`
	Missing  []string  `json:"missing,omitempty"`
}

// message is what processes of the demo send one another, a line of JSON.
type message struct {
	From  string        `json:"from"`
	Round int           `json:"round"`
	Text  string        `json:"text"`
	Sent  time.Time     `json:"sent"`
	Took  time.Duration `json:"took,omitempty"` // filled in by the receiver
}

// came and went are connections that do.
type (
	came struct {
		conn *tcpnet.Conn
		at   time.Time
	}
	went struct {
		conn *tcpnet.Conn
		at   time.Time
	}
)

const (
	firstRound = 500 * time.Millisecond // after the parent's start
	roundEvery = time.Second
	roundLasts = 400 * time.Millisecond // what comes later is counted and not shown
)

// demoNode is one process of the demo.
type demoNode struct {
	began   time.Time
	label   string
	out     *json.Encoder
	events  chan any // came, went and message
	serving sync.WaitGroup

	// The rest belongs to the loop.
	conns    map[*tcpnet.Conn]bool
	round    int
	heard    []message // of this round
	early    []message // of the next
	sent     int
	received int
}

func (n *demoNode) run(ctx context.Context, cfg tcpnet.Config, start time.Time) error {
	// The parent alone says when to end, by closing standard input; Ctrl-C goes
	// to all processes of a terminal. When the parent is gone, so is standard
	// output, and that must not end the process before it has said goodbye.
	signal.Ignore(os.Interrupt, syscall.SIGPIPE)
	quiet, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		in := bufio.NewReader(os.Stdin)
		if _, err := in.ReadString('\n'); err == nil {
			close(quiet)
			io.Copy(io.Discard, in)
		}
	}()
	n.conns = make(map[*tcpnet.Conn]bool)
	n.tell(report{Kind: reportStart, At: n.began}) // before others can tell of it
	node, err := tcpnet.Join(ctx, cfg)
	if err != nil {
		return fmt.Errorf("%s: %w", n.label, err)
	}
	defer node.Close()
	n.tell(report{Kind: reportUp})

	rounds := time.NewTimer(time.Until(start.Add(firstRound)))
	defer rounds.Stop()
	shown := time.NewTimer(time.Hour)
	defer shown.Stop()
	for {
		select {
		case e := <-n.events:
			n.took(e)
			n.showIfComplete()
		case <-rounds.C:
			n.showRound()
			n.send()
			n.showIfComplete()
			shown.Reset(roundLasts)
			rounds.Reset(time.Until(start.Add(firstRound + time.Duration(n.round)*roundEvery)))
		case <-shown.C:
			n.showRound()
		case <-quiet:
			rounds.Stop()
			quiet = nil
		case <-over:
			return n.leave(node)
		}
	}
}

// tell reports to the parent.
func (n *demoNode) tell(r report) {
	if r.At.IsZero() {
		r.At = time.Now()
	}
	r.Start = n.began
	n.out.Encode(r) // if nobody reads it, standard input ends as well
}

// serve lives with one connection.
func (n *demoNode) serve(c *tcpnet.Conn) {
	n.serving.Add(1)
	defer n.serving.Done()
	n.events <- came{c, time.Now()}
	lines := bufio.NewScanner(c)
	for lines.Scan() {
		var m message
		if json.Unmarshal(lines.Bytes(), &m) == nil {
			m.Took = time.Since(m.Sent)
			n.events <- m
		}
	}
	<-c.Context().Done()
	n.events <- went{c, time.Now()}
	c.Close()
}

// took deals with what one connection has brought.
func (n *demoNode) took(e any) {
	switch e := e.(type) {
	case came:
		n.conns[e.conn] = true
		n.tell(report{Kind: reportJoined, At: e.at, Peer: e.conn.Peer().Label})
	case went:
		delete(n.conns, e.conn)
		n.tell(report{Kind: reportLeft, At: e.at, Peer: e.conn.Peer().Label, Reason: reason(context.Cause(e.conn.Context()))})
	case message:
		n.received++
		switch e.Round {
		case n.round:
			n.heard = append(n.heard, e)
		case n.round + 1:
			n.early = append(n.early, e)
		}
	}
}

// send sends every peer the message of the next round.
func (n *demoNode) send() {
	n.round++
	n.heard, n.early = n.early, nil
	for c := range n.conns {
		m := message{From: n.label, Round: n.round, Text: fmt.Sprintf("message %d", n.round), Sent: time.Now()}
		line, err := json.Marshal(m)
		if err != nil {
			continue
		}
		c.SetWriteDeadline(m.Sent.Add(roundLasts))
		if _, err := c.Write(append(line, '\n')); err == nil {
			n.sent++
		}
	}
}

// showIfComplete reports the round when all peers were heard.
func (n *demoNode) showIfComplete() {
	if len(n.heard) == len(n.conns) {
		n.showRound()
	}
}

// showRound reports what was heard.
func (n *demoNode) showRound() {
	if len(n.heard) == 0 {
		return
	}
	slices.SortFunc(n.heard, func(a, b message) int { return cmp.Compare(a.From, b.From) })
	n.tell(report{Kind: reportRound, Round: n.round, Heard: n.heard})
	n.heard = nil
}

// leave leaves the cluster, and reports what came of it.
func (n *demoNode) leave(node *tcpnet.Node) error {
	end := report{Kind: reportEnd}
	for _, c := range node.Status().Candidates {
		if !c.Left && !c.Met {
			end.Missing = append(end.Missing, fmt.Sprintf("%s at %v: %s", c.ID, c.Addrs, cmp.Or(c.Error, "not connected yet")))
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveLimit)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		err := node.Shutdown(ctx)
		n.serving.Wait()
		done <- err
	}()
	for {
		select {
		case e := <-n.events:
			if m, ok := e.(message); ok {
				n.took(m)
			}
		case err := <-done:
			end.Sent, end.Received = n.sent, n.received
			n.tell(end)
			return err
		}
	}
}
