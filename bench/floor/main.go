// Floor is the program that tcpnet is measured against: a node that is told
// all addresses beforehand, dials each peer once and exchanges one 8-byte
// hello with it. Nothing that has to discover its peers can be faster.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"example.com/tcpnet/bench/message"
	"example.com/tcpnet/bench/report"
)

func main() {
	started := report.Now()
	var n node
	var peers string
	flag.IntVar(&n.id, "id", 0, "this node's place in the `order` of all nodes; it dials the earlier ones")
	flag.StringVar(&n.addr, "listen", "127.0.0.1:0", "`address` to listen on")
	flag.StringVar(&peers, "peers", "", "`addresses` of the nodes before this one, in order, with commas")
	flag.DurationVar(&n.dialTimeout, "dial-timeout", 3*time.Second, "how long one dial may take")
	flag.DurationVar(&n.redial, "redial", 5*time.Millisecond, "pause after a failed dial")
	flag.DurationVar(&n.heartbeat, "heartbeat", 0, "send a byte this often; 0 sends none")
	flag.DurationVar(&n.dead, "dead", 0, "give up a connection after this long a silence; 0 never does")
	n.sink = message.NewSink()
	flag.Var(n.sink, "messages", "`sizes` of the messages that come, by phase, with commas; none: there are none")
	flag.BoolVar(&n.link, "link", false, "open a second socket to each peer first, as a program does that keeps one for itself")
	flag.BoolVar(&n.drop, "drop", false, "drop messages to a peer whose queue is full, instead of waiting for it")
	flag.Parse()
	n.report = report.NewWriter(os.Stdout)
	n.report.Write(report.Event{Kind: report.Started, At: started})
	if peers != "" {
		n.peers = strings.Split(peers, ",")
	}
	if err := n.start(); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
	report.Serve(os.Stdin, n.report, n.sink.Commands(n.report, func(message.Phase) func([]byte) { return n.broadcast }))
}
