// Stream carries bytes over a tcpnet connection and over a bare TCP connection
// between the same two processes, over the same path, in turn, and reports how
// fast each was. If the cluster has a secret (TCPNET_SECRET), the bare one is in
// crypto/tls. The source sends, the sink receives; both are nodes of one
// cluster, and the source dials the sink's bare listener at the address that
// the tcpnet connection leads to.
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
	name := flag.String("name", "stream", "cluster `name`")
	id := flag.String("id", "", "this node's `ID`")
	port := flag.Int("port", 7001, "`port` of the sink's bare listener")
	source := flag.Bool("source", false, "send instead of receive")
	amount := flag.Int64("bytes", 1<<30, "`bytes` of one transfer")
	bareFirst := flag.Bool("bare-first", true, "of each pair of transfers, begin with the bare one")
	wait := flag.Duration("wait", 30*time.Second, "how long to wait for the other")
	flag.Parse()
	w := report.NewWriter(os.Stdout)
	w.Write(report.Event{Kind: report.Started, At: started})

	ctx, cancel := context.WithTimeout(context.Background(), *wait)
	defer cancel()
	cfg := tcpnet.Config{Name: *name, ID: tcpnet.ID(*id)}
	secret := os.Getenv("TCPNET_SECRET")
	if secret != "" {
		cfg.Secrets = [][]byte{[]byte(secret)}
	}
	node, err := tcpnet.Join(ctx, cfg)
	if err == nil {
		w.Now(report.Ready, "", "")
		if *source {
			err = send(ctx, node, w, plan{*port, *amount, *bareFirst, secret != ""})
		} else {
			err = receive(ctx, node, w, *port, secret != "")
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "stream:", err)
		os.Exit(1)
	}
	report.Serve(os.Stdin, w, nil)
	node.Close()
}
