// Raftkv is a replicated store of keys and values that forms by itself: its nodes find
// one another, agree on a leader by Raft, and go on when one of them is lost. No node
// is told the address of any other.
//
//	go run . -n 3                                 # on three machines, or three times on one
//	curl -X PUT -d 21.5 http://127.0.0.1:PORT/temperature   # at any of them
//	curl http://127.0.0.1:PORT/temperature                  # at any other
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/hashicorp/go-hclog"

	"example.com/tcpnet"
)

func main() {
	name := flag.String("name", "raftkv-example", "the cluster's name")
	addr := flag.String("addr", ":0", "where to listen for other nodes")
	size := flag.Int("n", 3, "how many nodes form the store; more than half of those that may start at first")
	forget := flag.Duration("forget", time.Minute, "how long a node may be gone before it no longer counts")
	api := flag.String("http", "127.0.0.1:0", "where to serve clients")
	verbose := flag.Bool("v", false, "log what Raft does")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	cfg := tcpnet.Config{Name: *name, Addr: *addr, Handler: idle}
	if secret, ok := os.LookupEnv("TCPNET_SECRET"); ok { // an empty one is an error of Join
		cfg.Secrets = [][]byte{[]byte(secret)}
	}
	log := hclog.NewNullLogger()
	if *verbose {
		log = hclog.Default()
	}
	if err := run(ctx, cfg, *size, *forget, *api, log); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// idle takes the connections that every two nodes have, for which there is no use here:
// Raft has its own streams. It reads, to hear when a peer leaves.
func idle(c *tcpnet.Conn) {
	io.Copy(io.Discard, c)
	c.Close()
}

// run takes part until ctx ends.
func run(ctx context.Context, cfg tcpnet.Config, size int, forget time.Duration, api string, log hclog.Logger) error {
	node, err := tcpnet.Join(ctx, cfg)
	if err != nil {
		return err
	}
	defer node.Close()
	store, err := newStore(node, log)
	if err != nil {
		return err
	}
	defer store.close()

	// Clients are served at an address, and peers, who pass requests on to the
	// leader, by name.
	local, err := net.Listen("tcp", api)
	if err != nil {
		return err
	}
	peers, err := node.Listen("http")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: store.handler()}
	failed := make(chan error, 2)
	go func() { failed <- server.Serve(local) }()
	go func() { failed <- server.Serve(peers) }()
	fmt.Printf("%s serves clients at http://%s\n", node.ID(), local.Addr())

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	members := &members{node: node, raft: store.raft, transport: store.transport, size: size, forget: forget}
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		members.keep(ctx)
	}()
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	cancel()
	<-kept
	end, cancelEnd := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancelEnd()
	return errors.Join(err, server.Shutdown(end))
}
