// Containers is a node for Kubernetes or Docker: it finds the others by a name in the
// DNS, says who comes and goes, and leaves in good order when it is told to stop.
package main

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/discovery"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Getenv); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, getenv func(string) string) error {
	cfg := tcpnet.Config{
		Name:      getenv("CLUSTER"),
		Addr:      getenv("LISTEN"), // the same port in all containers
		Discovery: []discovery.Discoverer{},
		Logger:    slog.Default(),
		Handler: func(c *tcpnet.Conn) {
			fmt.Println("joined", c.Peer().Label)
			<-c.Context().Done()
			fmt.Println("left", c.Peer().Label, context.Cause(c.Context()))
			c.Close()
		},
	}
	if secret := getenv("TCPNET_SECRET"); secret != "" { // private: see tcpnet keygen
		cfg.Secrets = [][]byte{[]byte(secret)}
	}
	if name := getenv("DNS"); name != "" {
		cfg.Discovery = append(cfg.Discovery, discovery.DNS(name))
	}
	if seed := getenv("SEED"); seed != "" {
		cfg.Seeds = []string{seed}
	}
	node, err := tcpnet.Join(ctx, cfg)
	if err != nil {
		return err
	}
	<-ctx.Done()
	// Kubernetes gives 30 seconds, Docker 10.
	leave, cancel := context.WithTimeout(context.Background(), 8*time.Second)
	defer cancel()
	return node.Shutdown(leave)
}
