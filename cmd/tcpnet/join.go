package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unicode/utf8"

	"example.com/tcpnet"
	"github.com/urfave/cli/v3"
)

func newJoin() *cli.Command {
	return &cli.Command{
		Name:      "join",
		Usage:     "join a cluster: netcat for all who share a name",
		ArgsUsage: "NAME",
		Description: `Lines from standard input go to every peer. What peers send is printed line by
line on standard output, whole lines at a time. Who comes and who goes is said
on standard error:

   tcpnet: joined ID LABEL ADDRESS
   tcpnet: left ID LABEL: REASON

REASON begins with one of these words: left (it said goodbye), timeout (silent
for 10 s), reset (its process ended without a goodbye, or the network cut the
connection), restarted, replaced, closed.

Input: the first line waits until --wait peers are connected, and a quarter of a
second more for those that come with them; later lines wait until there is
anybody. So nothing is sent to nobody, unless --wait is 0. At the end of the
input the peers see the end of this node's stream; it stays for what they send,
or leaves with --eof once all is delivered. A last line without an end is sent
as it is. Any bytes may be sent. A line of more than 1 MiB is broken into
several, and that is said.

Slow peers: up to 4 MiB wait for each peer; then reading the input waits too. A
peer that holds up the others for more than a tenth of the time has its lines
dropped until it has caught up, and that is said.

Output: plain lines. With --from, and on a terminal, each begins with
"LABEL/ID: ", ID being its first 8 digits. On a terminal control characters are
shown as \x1b.

Secret: without one the cluster is open, and whoever is on the network and knows its
name can join. With --secret-file, or the environment variable TCPNET_SECRET, only
those who have the secret can, and all that is said is encrypted. Open and private
nodes of one name are not connected, and say so. See keygen.

Ctrl-C or SIGTERM leaves in good order, within 3 seconds; a second one at once.
SIGUSR1 prints the node's status as JSON on standard error (not on Windows).

Examples:
   tcpnet join garden                          talk
   echo hi | tcpnet join garden --eof          tell whoever is there, and leave
   tcpnet join garden </dev/null | tee log     only listen
   tail -f app.log | tcpnet join logs -q       send a log to all who want it
   date | tcpnet join garden --eof --wait 2 --timeout 5s || echo nobody
   tcpnet join garden --seed 10.1.2.3:4000     across a network without multicast
   tcpnet join garden --dns garden.example.org:4000 --addr :4000
   tcpnet join garden --addr 127.0.0.1:0       stay on this machine
   tcpnet join garden --secret-file garden.key keep strangers out

Exit codes:
   0  left in good order   1  failed, or lines were lost, which is said
   2  wrong usage          3  fewer than --wait peers after --timeout
   130, 143  told to stop a second time`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "id", Usage: "the node's `ID`, up to 128 hexadecimal digits; no two nodes may have the same", DefaultText: "random"},
			&cli.StringFlag{Name: "addr", Value: ":0", Usage: "listen at `HOST:PORT`; 127.0.0.1:0 stays on this machine", DefaultText: "all addresses, any port"},
			&cli.StringSliceFlag{Name: "seed", Usage: "`HOST:PORT` of any other node, for networks without multicast (repeatable)"},
			&cli.StringSliceFlag{Name: "secret-file", Usage: "keep out who has not the secret in `FILE`, made by keygen (repeatable: the first is used, all are accepted)", DefaultText: "$TCPNET_SECRET, or none"},
			&cli.BoolFlag{Name: "insecure-secret-file", Usage: "take a --secret-file that others can read, too"},
			&cli.StringSliceFlag{Name: "dns", Usage: "find nodes by `NAME` or NAME:PORT in the DNS too: SRV, A and AAAA records (repeatable)"},
			&cli.StringFlag{Name: "state", Usage: "remember peers in `FILE`, to find them again after a restart"},
			&cli.StringFlag{Name: "label", Usage: "what peers call this node, as `TEXT`", DefaultText: "host name"},
			&cli.IntFlag{Name: "wait", Value: 1, Usage: "send nothing before `N` peers are connected", Validator: within(0, 1<<20)},
			&cli.DurationFlag{Name: "timeout", Usage: "give up if that takes longer than `DURATION`", DefaultText: "never", Validator: positive[time.Duration]},
			&cli.BoolFlag{Name: "eof", Usage: "leave at the end of the input"},
			&cli.BoolFlag{Name: "from", Usage: "show from whom each line is; --from=false for never", DefaultText: "on a terminal"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "say nothing of who comes and goes"},
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "log all that happens on standard error"},
		},
		OnUsageError: wrongUsage,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			name, err := oneArgument(cmd, "NAME")
			if err != nil {
				return err
			}
			j := &joining{
				cluster: name,
				dns:     cmd.StringSlice("dns"),
				wait:    cmd.Int("wait"),
				timeout: cmd.Duration("timeout"),
				eof:     cmd.Bool("eof"),
				quiet:   cmd.Bool("quiet"),
				verbose: cmd.Bool("verbose"),
				out: output{
					w:      os.Stdout,
					prefix: isTerminal(os.Stdout),
					escape: isTerminal(os.Stdout),
				},
			}
			if cmd.IsSet("from") {
				j.out.prefix = cmd.Bool("from")
			}
			cfg := tcpnet.Config{
				Name:  name,
				Addr:  cmd.String("addr"),
				Label: cmd.String("label"),
				Seeds: cmd.StringSlice("seed"),

				StateFile: cmd.String("state"),
			}
			switch {
			case name == "" || len(name) > 255 || !utf8.ValidString(name):
				return usageError(cmd, "NAME has to have 1 to 255 bytes of UTF-8")
			case len(cfg.Label) > 255:
				return usageError(cmd, "--label has %d bytes, at most 255 are possible", len(cfg.Label))
			case j.quiet && j.verbose:
				return usageError(cmd, "--quiet and --verbose contradict each other")
			case j.timeout > 0 && j.wait == 0:
				return usageError(cmd, "--timeout has nothing to wait for with --wait 0")
			}
			if err := hostPorts(cfg.Addr); err != nil {
				return usageError(cmd, "--addr %w, or :0 for all addresses and any port", err)
			}
			if err := hostPorts(cfg.Seeds...); err != nil {
				return usageError(cmd, "--seed %w", err)
			}
			if err := dnsNames(j.dns...); err != nil {
				return usageError(cmd, "--dns %w", err)
			}
			if cmd.IsSet("id") {
				if cfg.ID, err = tcpnet.ParseID(cmd.String("id")); err != nil {
					return usageError(cmd, "--id %q: want 1 to 128 hexadecimal digits", cmd.String("id"))
				}
			}
			if cfg.Secrets, err = readSecrets(cmd.StringSlice("secret-file"), cmd.Bool("insecure-secret-file")); err != nil {
				return err
			}
			if j.verbose {
				cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
			}
			cfg.Discovery = discoverers(j.dns, cfg.Logger, j.chat)
			return j.run(ctx, cfg, os.Stdin)
		},
	}
}

const (
	// settle is how long after the latest arrival the first line waits: nodes
	// that run already are all connected within that time of the first.
	settle = 250 * time.Millisecond
	// leaveLimit is how long leaving may take after a signal.
	leaveLimit = 3 * time.Second
	// eofLimit is how long leaving may take at the end of the input, when all
	// is written already. A peer that does not close its end is given up after
	// 5 seconds by the library.
	eofLimit = 10 * time.Second
)

// joining is one run of the join command.
type joining struct {
	cluster             string
	dns                 []string // names to find nodes by
	wait                int
	timeout             time.Duration
	eof, quiet, verbose bool
	out                 output
	send                *sender
	leave               context.CancelCauseFunc
	left                atomic.Bool // this node is leaving
	short               atomic.Bool // lines were lost
	notes               sync.Mutex  // lines on standard error
}

// Why the node leaves.
var (
	errSignalled = errors.New("told to stop")
	errInputDone = errors.New("the input has ended")
)

// note says something of importance on standard error.
func (j *joining) note(format string, args ...any) {
	line := "tcpnet: " + printable(fmt.Sprintf(format, args...)) + "\n"
	j.notes.Lock()
	defer j.notes.Unlock()
	io.WriteString(os.Stderr, line)
}

// lost says which lines were.
func (j *joining) lost(format string, args ...any) {
	j.short.Store(true)
	j.note(format, args...)
}

// chat says something on standard error unless that is not wanted.
func (j *joining) chat(format string, args ...any) {
	if !j.quiet {
		j.note(format, args...)
	}
}

func (j *joining) run(ctx context.Context, cfg tcpnet.Config, input io.Reader) error {
	// A reader of standard output that has gone is an error of Write, so that
	// the peers get a goodbye.
	signal.Ignore(syscall.SIGPIPE)
	ctx, j.leave = context.WithCancelCause(ctx)
	defer j.leave(nil)
	stop := j.watchSignals()
	defer stop()

	j.send = newSender(j.lost)
	cfg.Handler = j.serve
	node, err := tcpnet.Join(ctx, cfg)
	if err != nil {
		if context.Cause(ctx) == errSignalled {
			return nil
		}
		return joinError(cfg, err)
	}
	defer node.Close()
	defer onStatusSignal(func() { j.printStatus(node) })()
	j.chat("listening %s %s %s", node.ID(), printableName(node.Status().Label), addrList(node))
	go j.watchRejections(ctx, node)
	go func() { j.leave(j.copyInput(ctx, node, input)) }()

	select {
	case <-ctx.Done():
	case <-node.Done():
		j.leave(node.Err())
	}
	return j.finish(ctx, node)
}

// finish leaves the cluster.
func (j *joining) finish(ctx context.Context, node *tcpnet.Node) error {
	cause := context.Cause(ctx)
	limit := leaveLimit
	if cause == errInputDone {
		limit = eofLimit
	}
	// Not derived from ctx, which has ended.
	end, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	j.left.Store(true)
	err := j.send.flush(end)
	if serr := node.Shutdown(end); err == nil {
		err = serr
	}
	done := make(chan struct{})
	go func() {
		j.send.close()
		close(done)
	}()
	printed := true
	select {
	case <-done:
	case <-end.Done():
		select { // Shutdown may have taken all the time
		case <-done:
		case <-time.After(100 * time.Millisecond):
			printed = false
		}
	}
	switch {
	case cause != errSignalled && cause != errInputDone:
		return cause
	case !printed:
		return fmt.Errorf("not everything was printed within %v: standard output is not read", limit)
	case errors.Is(err, tcpnet.ErrNotDelivered):
		return errors.New(strings.TrimPrefix(err.Error(), "tcpnet: shutdown: "))
	case err != nil:
		return fmt.Errorf("not everything was delivered within %v: a peer does not read", limit)
	case j.short.Load():
		return errors.New("lines were lost")
	default:
		return nil
	}
}

// watchSignals leaves at the first signal that asks for it and ends the process at
// the second.
func (j *joining) watchSignals() (stop func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		if _, ok := <-signals; !ok {
			return
		}
		j.leave(errSignalled)
		if s, ok := <-signals; ok {
			code := exitFailed
			if n, ok := s.(syscall.Signal); ok {
				code = exitSignal + int(n)
			}
			os.Exit(code)
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
	}
}

// serve lives with one connection.
func (j *joining) serve(c *tcpnet.Conn) {
	info := c.Peer()
	label := printableName(info.Label)
	p, ok := j.send.add(c, label+"/"+shortID(info.ID))
	if !ok {
		c.Close()
		return
	}
	j.chat("joined %s %s %s", info.ID, label, info.Addr)
	stop := context.AfterFunc(c.Context(), func() { j.send.gone(p) })
	defer stop()
	err := j.print(c, p.name)
	<-c.Context().Done() // it may have half-closed only
	cause := context.Cause(c.Context())
	if !j.left.Load() {
		j.chat("left %s %s: %s", info.ID, label, reason(cause))
	}
	if err != io.EOF && errors.Is(cause, tcpnet.ErrLeft) {
		j.lost("not all that %s has sent was printed: %v", p.name, err)
	}
	j.send.remove(p)
	c.Close()
}

// print prints what a peer sends, and returns why it has ended.
func (j *joining) print(c *tcpnet.Conn, name string) error {
	lines := newLineReader(c, maxLine)
	said := false
	for {
		block, broken, err := lines.next()
		if err != nil {
			return err
		}
		if broken && !said {
			said = true
			j.note("a line of %s has more than %d bytes and is broken into several", name, maxLine)
		}
		if err := j.out.write(name, block); err != nil {
			if errors.Is(err, syscall.EPIPE) {
				err = errSilent // as is usual when a reader has seen enough
			}
			j.leave(err)
			return err
		}
	}
}

// copyInput sends the input and returns why to leave then.
func (j *joining) copyInput(ctx context.Context, node *tcpnet.Node, input io.Reader) error {
	waited := make(chan error, 1)
	go func() {
		err := j.awaitPeers(ctx, node)
		if err != nil {
			j.leave(err) // the input may be a terminal, which is being read
		}
		waited <- err
	}()
	var ready, said bool
	lines := newLineReader(input, maxLine)
	for {
		block, broken, err := lines.next()
		if err != nil && err != io.EOF {
			return fmt.Errorf("standard input: %w", err)
		}
		if broken && !said {
			said = true
			j.note("a line of the input has more than %d bytes and is broken into several", maxLine)
		}
		if !ready {
			if err := j.awaitReady(waited, node, err == nil || j.eof); err != nil {
				return err
			}
			ready = true
		}
		if err == io.EOF {
			j.send.end()
			if !j.eof {
				<-ctx.Done()
				return ctx.Err()
			}
			if err := j.send.flush(ctx); err != nil {
				return err
			}
			return errInputDone
		}
		if err := j.awaitAnybody(ctx); err != nil {
			return err
		}
		if err := j.send.send(ctx, bytes.Clone(block)); err != nil {
			return err
		}
	}
}

// awaitReady waits for awaitPeers. If that takes long and something else waits for
// it, it says so.
func (j *joining) awaitReady(waited <-chan error, node *tcpnet.Node, say bool) error {
	if !say {
		return <-waited
	}
	select {
	case err := <-waited:
		return err
	case <-time.After(time.Second):
		j.chat("the input waits for peers: %d connected, %d wanted", len(node.Connections()), j.wait)
		return <-waited
	}
}

// awaitPeers waits until --wait peers are there, and a little for more.
func (j *joining) awaitPeers(ctx context.Context, node *tcpnet.Node) error {
	if j.wait == 0 {
		return nil
	}
	limit := ctx
	if j.timeout > 0 {
		var cancel context.CancelFunc
		limit, cancel = context.WithTimeout(ctx, j.timeout)
		defer cancel()
	}
	late := func(err error) error {
		if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		return failure{fmt.Errorf("%d of %d peers connected after %v%s", len(node.Connections()), j.wait, j.timeout, whyMissing(node.Status(), j.dns)), exitTimeout}
	}
	if err := node.Wait(limit, j.wait); err != nil {
		return late(err)
	}
	for {
		n, latest, changed := j.send.count()
		var settled <-chan time.Time // never, while too few are there
		if n >= j.wait {
			rest := settle - time.Since(latest)
			if rest <= 0 {
				return nil
			}
			settled = time.After(rest)
		}
		select {
		case <-settled:
		case <-changed:
		case <-limit.Done():
			return late(limit.Err())
		}
	}
}

// awaitAnybody waits until there is somebody to send to.
func (j *joining) awaitAnybody(ctx context.Context) error {
	for j.wait > 0 {
		n, _, changed := j.send.count()
		if n > 0 {
			break
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// watchRejections tells of nodes that are not connected to: once of each and why.
func (j *joining) watchRejections(ctx context.Context, node *tcpnet.Node) {
	if j.verbose {
		return // the log has it
	}
	const most = 1000 // a stranger could invent any number
	told := make(map[string]bool)
	tell := func(line string) {
		if strings.Contains(line, tcpnet.ErrDuplicateID.Error()) { // several, of one cause
			line = fmt.Sprintf("rejected: another living node has the ID %s too; choose another --id, or leave it out", node.ID())
		}
		if !told[line] && len(told) < most {
			told[line] = true
			j.chat("%s", line)
		}
	}
	events := node.Events(ctx)
	// Seeds are tried at once: this may have been before there were events.
	for _, s := range node.Status().Seeds {
		if s.Error != "" {
			tell(fmt.Sprintf("seed %s: %s", s.Addr, printableName(s.Error)))
		}
	}
	for e := range events {
		if r, ok := e.(tcpnet.Rejected); ok {
			who := printableName(string(r.Peer.ID)) + " " + printableName(r.Peer.Label)
			if r.Peer.ID == "" && r.Peer.Addr.IsValid() { // it has not been let in far enough to say
				who = r.Peer.Addr.Addr().String()
			}
			tell(fmt.Sprintf("rejected %s: %s", who, printableName(r.Err.Error())))
		}
	}
}

// hostPorts checks that each of list is HOST:PORT.
func hostPorts(list ...string) error {
	for _, s := range list {
		_, port, err := net.SplitHostPort(s)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		if err != nil {
			return fmt.Errorf("%q: want HOST:PORT, such as 10.1.2.3:4000 or [::1]:4000", s)
		}
	}
	return nil
}

// joinError says what to do about an error of tcpnet.Join.
func joinError(cfg tcpnet.Config, err error) error {
	text := strings.TrimPrefix(err.Error(), "tcpnet: ")
	var hint string
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		hint = "another program listens there: choose another port for --addr, or 0 for any that is free"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		hint = "this machine does not have that address: choose one of its own for --addr, or leave --addr out"
	case errors.Is(err, syscall.EACCES):
		hint = "only an administrator may listen there: choose a port from 1024 for --addr, or 0 for any that is free"
	case strings.Contains(text, "StateFile"):
		hint = "choose another FILE for --state"
	default:
		hint = fmt.Sprintf("--addr is %q; it takes HOST:PORT, such as 127.0.0.1:0 or :4000", cfg.Addr)
	}
	return fmt.Errorf("%s\n%s", text, hint)
}

// whyMissing says what is known of nodes that are not connected. They were looked for
// by names too, if there are any.
func whyMissing(st tcpnet.Status, names []string) string {
	var b strings.Builder
	for _, s := range st.Seeds {
		if s.Error != "" {
			fmt.Fprintf(&b, "\nseed %s: %s", s.Addr, s.Error)
		}
	}
	for _, c := range st.Candidates {
		if c.Error != "" {
			fmt.Fprintf(&b, "\nnode %s at %v: %s", c.ID, c.Addrs, c.Error)
		}
	}
	for _, f := range st.Foreign {
		fmt.Fprintf(&b, "\n%s at %v is no node: %s", f.Name, f.Addrs, f.Why)
	}
	if b.Len() == 0 {
		b.WriteString("\nnobody else was found. Do the others run, with this very name? Does a firewall let UDP 5353 pass? Without multicast, give --seed HOST:PORT of one of them")
		if len(names) > 0 {
			fmt.Fprintf(&b, "\nnor was anybody by --dns %s. Does the DNS have SRV, A or AAAA records of the others by that name, and do they listen at the port that it stands for?", strings.Join(names, ", "))
		}
	}
	return b.String()
}

// reason begins with the word for why a connection has ended.
func reason(cause error) string {
	for _, r := range []struct {
		err  error
		text string
	}{
		{tcpnet.ErrLeft, "left"},
		{tcpnet.ErrTimeout, "timeout, it hangs or the network is cut"},
		{tcpnet.ErrRestarted, "restarted"},
		{tcpnet.ErrReset, "reset, its process has ended or the network has cut the connection"},
		{tcpnet.ErrReplaced, "replaced by a newer connection"},
		{tcpnet.ErrClosed, "closed"},
	} {
		if errors.Is(cause, r.err) {
			return r.text
		}
	}
	return printableName(cause.Error())
}

// shortID returns enough of an ID to tell peers of one label apart.
func shortID(id tcpnet.ID) string { return string(id[:min(len(id), 8)]) }

// addrList returns the node's addresses for people.
func addrList(node *tcpnet.Node) string {
	var list []string
	for _, a := range node.Addrs() {
		list = append(list, a.String())
	}
	return strings.Join(list, " ")
}
