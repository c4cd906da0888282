// Node is a member of a tcpnet cluster that reports to the harness whom it is
// connected to. It holds one goroutine for each connection, which reads.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/bench/message"
	"example.com/tcpnet/bench/report"
)

func main() {
	started := report.Now()
	w := report.NewWriter(os.Stdout)
	w.Write(report.Event{Kind: report.Started, At: started})
	var cfg tcpnet.Config
	sink := message.NewSink()
	chatting := flag.Duration("chat", 0, "send a numbered message this often on every connection, and look at what comes in; 0 sends nothing")
	flag.StringVar(&cfg.Name, "name", "bench", "cluster `name`")
	flag.StringVar((*string)(&cfg.ID), "id", "", "this node's `ID`")
	flag.StringVar(&cfg.Addr, "addr", ":0", "`address` to listen on")
	flag.Func("seed", "`address` of another node; may be given again", func(s string) error {
		cfg.Seeds = append(cfg.Seeds, s)
		return nil
	})
	flag.DurationVar(&cfg.Liveness.Interval, "interval", 0, "ping a silent peer this often; 0 is the library's default")
	flag.DurationVar(&cfg.Liveness.Timeout, "timeout", 0, "give up a peer after this long a silence; 0 is the library's default")
	flag.Var(sink, "messages", "`sizes` of the messages that come, by phase, with commas; none: there are none")
	flag.Parse()
	if secret := os.Getenv("TCPNET_SECRET"); secret != "" {
		cfg.Secrets = [][]byte{[]byte(secret)}
	}
	cfg.Handler = func(c *tcpnet.Conn) { hold(c, w, sink) }
	if *chatting > 0 {
		cfg.Handler = newChat(*chatting, w).handle
	}
	node, err := tcpnet.Join(context.Background(), cfg)
	if err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
	}
	w.Now(report.Ready, "", "")
	go tell(node, w)
	report.Serve(os.Stdin, w, sink.Commands(w, func(p message.Phase) func([]byte) { return broadcast(node, p) }))
}

// broadcast returns how the messages of a phase are sent. Where it is as many as
// possible, it does not run ahead of the slowest peer by more than half a queue.
func broadcast(node *tcpnet.Node, p message.Phase) func([]byte) {
	return func(b []byte) {
		d := node.Broadcast(b)
		for p.Rate == 0 && d.Backlog > 512<<10 {
			time.Sleep(50 * time.Microsecond)
			d = node.Broadcast(nil)
		}
	}
}

// hold reports a connection, reads until it ends and reports why.
func hold(c *tcpnet.Conn, w *report.Writer, sink *message.Sink) {
	w.Now(report.Connected, string(c.Peer().ID), "")
	leave(c, w, sink.Receive(c))
}

// leave reports the end of a connection, on which err was read, and closes it.
func leave(c *tcpnet.Conn, w *report.Writer, err error) {
	gone := report.Event{Kind: report.Gone, At: report.Now(), Peer: string(c.Peer().ID), Text: err.Error()}
	select {
	case <-c.Context().Done():
		gone.Text = context.Cause(c.Context()).Error()
	case <-time.After(time.Second):
	}
	w.Write(gone)
	c.Close()
}

// tell reports the departures that the library reports.
func tell(node *tcpnet.Node, w *report.Writer) {
	for e := range node.Events(context.Background()) {
		switch e := e.(type) {
		case tcpnet.Left:
			w.Now(report.Left, string(e.Conn.Peer().ID), e.Reason.Error())
		case tcpnet.Lagged:
			fmt.Fprintf(os.Stderr, "node: %d events missed\n", e.N)
		}
	}
}
