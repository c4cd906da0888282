// Grpc runs a gRPC service on every node of a cluster, and on every node a client of
// all others: gRPC's own health service, by which each node watches how the others are.
//
//	go run . -label kitchen        # on one machine
//	go run . -label attic          # on another
//
// Type "down" or "up": the others are told at once. No node is told the address of any
// other.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"example.com/tcpnet"
)

func main() {
	name := flag.String("name", "grpc-example", "the cluster's name")
	addr := flag.String("addr", ":0", "where to listen for other nodes")
	label := flag.String("label", "", "what others call this node (default the host's name)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	cfg := tcpnet.Config{Name: *name, Addr: *addr, Label: *label, Handler: idle}
	if secret, ok := os.LookupEnv("TCPNET_SECRET"); ok { // an empty one is an error of Join
		cfg.Secrets = [][]byte{[]byte(secret)}
	}
	if err := run(ctx, cfg, os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// idle takes the connections that every two nodes have, for which there is no use here:
// gRPC has its own streams. It reads, to hear when a peer leaves.
func idle(c *tcpnet.Conn) {
	io.Copy(io.Discard, c)
	c.Close()
}

// service is what the streams of gRPC are called.
const service = "grpc"

// run takes part until ctx ends.
func run(ctx context.Context, cfg tcpnet.Config, commands io.Reader) error {
	node, err := tcpnet.Join(ctx, cfg)
	if err != nil {
		return err
	}
	defer node.Close()

	// The server needs a listener, as always.
	ln, err := node.Listen(service)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	health := health.NewServer()
	grpc_health_v1.RegisterHealthServer(server, health)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(ln) }()
	go obey(commands, health)

	// The clients: one for each peer, as long as it is there.
	watching, stop := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	watchers.Go(func() {
		for e := range node.Events(watching) {
			if e, ok := e.(tcpnet.Joined); ok {
				watchers.Go(func() { watch(watching, node, e.Conn) })
			}
		}
	})
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	// In this order: what runs over the node ends before it does.
	stop()
	watchers.Wait()
	health.Shutdown() // tells those that watch this node
	server.Stop()     // GracefulStop would wait for them, and they watch for ever
	end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return errors.Join(err, node.Shutdown(end))
}

// dial returns a client of a peer. The address is a label or an ID, where elsewhere
// there is a host name.
func dial(node *tcpnet.Node, peer string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+peer,
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return node.DialContext(ctx, addr, service)
		}),
		// A private cluster's streams are encrypted, and have proved who is at the
		// other end: gRPC need not do it again.
		grpc.WithTransportCredentials(insecure.NewCredentials()),
	)
}

// watch tells how a peer is, while it is connected.
func watch(ctx context.Context, node *tcpnet.Node, c *tcpnet.Conn) {
	peer := c.Peer()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.Context(), cancel)()
	client, err := dial(node, string(peer.ID))
	if err != nil {
		fmt.Println(peer.Label, err)
		return
	}
	defer client.Close()
	// A peer may be there a moment before it serves.
	updates, err := grpc_health_v1.NewHealthClient(client).Watch(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.WaitForReady(true))
	for err == nil {
		var answer *grpc_health_v1.HealthCheckResponse
		if answer, err = updates.Recv(); err == nil {
			fmt.Printf("%s is %v\n", peer.Label, answer.Status)
		}
	}
	fmt.Printf("%s is gone\n", peer.Label)
}

// obey sets how this node is, as it is told by lines.
func obey(commands io.Reader, health *health.Server) {
	lines := bufio.NewScanner(commands)
	for lines.Scan() {
		switch lines.Text() {
		case "up":
			health.SetServingStatus("", grpc_health_v1.HealthCheckResponse_SERVING)
		case "down":
			health.SetServingStatus("", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
		default:
			fmt.Println(`"up" or "down"`)
		}
	}
}
