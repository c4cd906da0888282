package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"
)

func newDemo() *cli.Command {
	return &cli.Command{
		Name:  "demo",
		Usage: "watch processes find one another and talk",
		Description: `Starts processes that share a random name and nothing else, and shows how each
finds the others, connects to them, and sends every other a message every second.
They use the loopback interface only: nothing leaves this machine. Meanwhile try
to kill one of them: its process number is shown.

Examples:
   tcpnet demo
   tcpnet demo -n 8 --for 30s
   NO_COLOR=1 tcpnet demo

Exit codes:
   0  every process was connected to every other
   1  some were not; the output says which`,
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "n", Value: 3, Usage: "how many processes, as `N`", Validator: within(2, 50)},
			&cli.DurationFlag{Name: "for", Value: 10 * time.Second, Usage: "how long, as `DURATION`", Validator: positive[time.Duration]},
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "log all that happens on standard error"},
		},
		OnUsageError: wrongUsage,
		Action: func(_ context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			d := &demo{
				screen:  screen{w: os.Stdout, colour: wantsColour(os.Stdout)},
				count:   cmd.Int("n"),
				verbose: cmd.Bool("verbose"),
			}
			return d.run(cmd.Duration("for"))
		},
	}
}

const (
	// inFull is up to how many processes everything is shown. Of more, what one
	// has found is shown in one line.
	inFull = 5
	// stopLimit is how long a process of the demo may take to leave.
	stopLimit = 5 * time.Second
)

// demo is the parent of the processes that are watched.
type demo struct {
	screen  screen
	count   int
	verbose bool
	start   time.Time
	nodes   []*demoChild
	reports chan childReport
	looks   *time.Ticker // when lines that were held back are shown

	found    map[[2]string]bool // who is connected to whom
	lastUp   time.Time
	lastFind time.Time
	fullAt   time.Time // when every process was connected to every other
	most     int       // pairs at the best moment
	sent     int
	received int
}

// demoChild is one of the processes.
type demoChild struct {
	name    string
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	leaving bool
	ended   bool
}

// childReport is what a process says; nil when it has ended.
type childReport struct {
	child  *demoChild
	report *report
	err    error
}

func (d *demo) run(length time.Duration) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)

	d.start = time.Now()
	d.reports = make(chan childReport)
	d.found = make(map[[2]string]bool)
	cluster := "demo-" + randomHex(4)
	for i := range d.count {
		d.nodes = append(d.nodes, &demoChild{name: demoName(i)})
		d.screen.width = max(d.screen.width, len(demoName(i)))
	}
	d.screen.title("%d processes that share only the name %q, on loopback, for %v", d.count, cluster, length)
	defer d.kill()
	defer d.screen.showAll()
	d.looks = time.NewTicker(holdBack / 4)
	defer d.looks.Stop()
	for _, c := range d.nodes {
		if err := d.spawn(c, cluster); err != nil {
			return fmt.Errorf("cannot start a process: %w", err)
		}
	}
	over := time.NewTimer(time.Until(d.start.Add(length)))
	defer over.Stop()
	for running := d.count; running > 0; {
		select {
		case r := <-d.reports:
			if r.report == nil {
				running--
			}
			d.took(r)
		case <-d.looks.C:
			d.show()
		case <-over.C:
			return d.finish(signals, running)
		case <-signals:
			return d.finish(signals, running)
		}
	}
	return d.sumUp()
}

// show shows what is old enough.
func (d *demo) show() { d.screen.show(time.Since(d.start) - holdBack) }

// spawn starts one process. It runs until its standard input ends, and so cannot
// outlive this one.
func (d *demo) spawn(c *demoChild, cluster string) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{os.Args[0], demoNodeVerb, "--label", c.name, "--start", strconv.FormatInt(d.start.UnixNano(), 10)}
	if d.verbose {
		args = append(args, "--verbose")
	}
	c.cmd = &exec.Cmd{Path: exe, Args: append(args, "--", cluster), Stderr: os.Stderr}
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return err
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.cmd.Start(); err != nil {
		return err
	}
	go func() {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			r := new(report)
			if err := json.Unmarshal(lines.Bytes(), r); err == nil {
				d.reports <- childReport{child: c, report: r}
			}
		}
		d.reports <- childReport{child: c, err: c.cmd.Wait()}
	}()
	return nil
}

// took shows what a process has said.
func (d *demo) took(r childReport) {
	c := r.child
	if r.report == nil {
		c.ended = true
		switch {
		case r.err != nil && !c.leaving:
			d.line(time.Now(), c, "ended", r.err.Error())
		case r.err != nil:
			d.line(time.Now(), c, "failed", r.err.Error())
		}
		return
	}
	switch e := r.report; e.Kind {
	case reportStart:
		d.line(e.At, c, "starts", fmt.Sprintf("process %d", c.cmd.Process.Pid))
	case reportUp:
		d.lastUp = later(d.lastUp, e.At)
	case reportJoined:
		d.joined(c, e)
	case reportLeft:
		delete(d.found, [2]string{c.name, e.Peer})
		if d.count <= inFull || !d.node(e.Peer).leaving {
			d.line(e.At, c, "loses", d.screen.paint(e.Peer)+": "+e.Reason)
		}
	case reportRound:
		if d.count <= inFull || c == d.nodes[0] {
			d.line(e.At, c, "hears", d.heard(e))
		}
	case reportEnd:
		d.sent += e.Sent
		d.received += e.Received
		for _, m := range e.Missing {
			d.line(e.At, c, "lacks", printable(m))
		}
		d.line(e.At, c, "leaves", fmt.Sprintf("%d messages sent, %d received", e.Sent, e.Received))
	}
}

// joined shows that one process has found another, and whether all have now.
func (d *demo) joined(c *demoChild, e *report) {
	d.found[[2]string{c.name, e.Peer}] = true
	d.lastFind = later(d.lastFind, e.At)
	mine := 0
	for pair := range d.found {
		if pair[0] == c.name {
			mine++
		}
	}
	after := e.At.Sub(e.Start)
	if d.count <= inFull {
		d.line(e.At, c, "finds", fmt.Sprintf("%s, %s after its own start", d.screen.paint(e.Peer), milliseconds(after)))
	} else if mine == d.count-1 {
		d.line(e.At, c, "finds", fmt.Sprintf("all %d others, %s after its own start", mine, milliseconds(after)))
	}
	pairs := d.pairs()
	d.most = max(d.most, pairs)
	if pairs == d.allPairs() && d.fullAt.IsZero() {
		d.fullAt = d.lastFind
		d.line(d.fullAt, nil, "", fmt.Sprintf("full mesh: all %d pairs are connected", pairs))
	}
}

// heard words the messages of one second.
func (d *demo) heard(e *report) string {
	var list []string
	slowest := time.Duration(0)
	for _, h := range e.Heard {
		if d.count <= inFull {
			list = append(list, fmt.Sprintf("%s %q", d.screen.paint(h.From), h.Text))
		}
		slowest = max(slowest, h.Took)
	}
	if len(e.Heard) == 0 {
		return "nobody"
	}
	text := strings.Join(list, ", ")
	if d.count > inFull {
		text = fmt.Sprintf("message %d of %d others", e.Round, len(e.Heard))
	}
	return fmt.Sprintf("%s within %.2f ms", text, float64(slowest)/float64(time.Millisecond))
}

// pairs returns how many pairs are connected, as both sides say.
func (d *demo) pairs() (n int) {
	for pair := range d.found {
		if pair[0] < pair[1] && d.found[[2]string{pair[1], pair[0]}] {
			n++
		}
	}
	return n
}

func (d *demo) allPairs() int { return d.count * (d.count - 1) / 2 }

func (d *demo) node(name string) *demoChild {
	for _, c := range d.nodes {
		if c.name == name {
			return c
		}
	}
	return &demoChild{name: name}
}

// line shows one line; a child that is nil stands for all.
func (d *demo) line(at time.Time, c *demoChild, verb, text string) {
	name := ""
	if c != nil {
		name = c.name
	}
	d.screen.line(at.Sub(d.start), name, verb, text)
}

// finish asks one process after the other to leave, and sums up.
func (d *demo) finish(signals <-chan os.Signal, running int) error {
	for _, c := range d.nodes {
		io.WriteString(c.stdin, "be quiet\n") // so that no message is on its way
	}
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	next := 0
	for running > 0 {
		for next < len(d.nodes) && (next == 0 || d.nodes[next-1].ended) {
			d.nodes[next].leaving = true
			d.nodes[next].stdin.Close()
			next++
			limit.Reset(stopLimit)
		}
		select {
		case r := <-d.reports:
			if r.report == nil {
				running--
			}
			d.took(r)
		case <-d.looks.C:
			d.show()
		case <-limit.C:
			d.sumUp()
			return fmt.Errorf("a process did not leave within %v", stopLimit)
		case s := <-signals:
			code := exitFailed
			if n, ok := s.(syscall.Signal); ok {
				code = exitSignal + int(n)
			}
			return failure{errSilent, code}
		}
	}
	return d.sumUp()
}

// kill ends what is left of the processes.
func (d *demo) kill() {
	for _, c := range d.nodes {
		if c.cmd != nil && c.cmd.Process != nil && !c.ended {
			c.cmd.Process.Kill()
		}
	}
}

// sumUp closes with one line.
func (d *demo) sumUp() error {
	mesh := "no full mesh"
	if !d.fullAt.IsZero() {
		mesh = fmt.Sprintf("full mesh %s after the start and %s after the last process was ready",
			milliseconds(d.fullAt.Sub(d.start)), milliseconds(max(0, d.fullAt.Sub(d.lastUp))))
	}
	d.screen.title("%d processes, %d of %d pairs connected, %s, %d messages sent, %d received",
		d.count, d.most, d.allPairs(), mesh, d.sent, d.received)
	d.screen.title("It was an open cluster: who knows the name can join. How to keep strangers out of yours: tcpnet keygen --help")
	if d.fullAt.IsZero() {
		return fmt.Errorf("not every process was connected to every other\nGive it longer with --for, or see why with --verbose")
	}
	return nil
}

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// milliseconds words a time as people compare them.
func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// demoName returns the name of the i-th process.
func demoName(i int) string {
	names := strings.Fields("ada bob cyd dan eve fay gus hal ivy joe kim leo mia ned oda pia rex sue tim una vic wes xia yan zoe")
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("%s%d", names[i%len(names)], i/len(names)+1)
}
