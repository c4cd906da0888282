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
	"example.com/tcpnet/bench/report"
)

func main() {
	started := report.Now()
	w := report.NewWriter(os.Stdout)
	w.Write(report.Event{Kind: report.Started, At: started})
	cfg := tcpnet.Config{Handler: func(c *tcpnet.Conn) { hold(c, w) }}
	flag.StringVar(&cfg.Name, "name", "bench", "cluster `name`")
	flag.StringVar((*string)(&cfg.ID), "id", "", "this node's `ID`")
	flag.StringVar(&cfg.Addr, "addr", ":0", "`address` to listen on")
	flag.DurationVar(&cfg.Liveness.Interval, "interval", 0, "ping a silent peer this often; 0 is the library's default")
	flag.DurationVar(&cfg.Liveness.Timeout, "timeout", 0, "give up a peer after this long a silence; 0 is the library's default")
	flag.Parse()
	node, err := tcpnet.Join(context.Background(), cfg)
	if err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
	}
	w.Now(report.Ready, "", "")
	go tell(node, w)
	report.Serve(os.Stdin, w)
}

// hold reports a connection, reads until it ends and reports why.
func hold(c *tcpnet.Conn, w *report.Writer) {
	peer := string(c.Peer().ID)
	w.Now(report.Connected, peer, "")
	var b [512]byte
	var err error
	for err == nil {
		_, err = c.Read(b[:])
	}
	gone := report.Event{Kind: report.Gone, At: report.Now(), Peer: peer, Text: err.Error()}
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
