package main

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"example.com/tcpnet"
	"example.com/tcpnet/examples/internal/program"
)

func TestMain(m *testing.M) { program.Main(m, main) }

func start(t *testing.T, name, label string) *program.Program {
	return program.Start(t, label, "-name", name, "-addr", "127.0.0.1:0", "-label", label)
}

// Three nodes watch one another. What becomes of one the others are told.
func TestEveryNodeKnowsHowTheOthersAre(t *testing.T) {
	name := rand.Text()
	kitchen, attic := start(t, name, "kitchen"), start(t, name, "attic")
	kitchen.Expect("^attic is SERVING$")
	attic.Expect("^kitchen is SERVING$")
	garage := start(t, name, "garage")
	kitchen.Expect("^garage is SERVING$")
	attic.Expect("^garage is SERVING$")

	kitchen.Say("down")
	attic.Expect("^kitchen is NOT_SERVING$")
	garage.Expect("^kitchen is NOT_SERVING$")
	kitchen.Say("up")
	garage.Expect("^kitchen is SERVING$")

	garage.Kill()
	kitchen.Expect("^garage is gone$")
	attic.Expect("^garage is gone$")
	attic.Interrupt()
	kitchen.Expect("^attic is gone$")
}

// A client is any program of the cluster: it calls by label, and gRPC tells it what
// tcpnet has to say.
func TestCallsByLabel(t *testing.T) {
	name := rand.Text()
	start(t, name, "kitchen")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	node, err := tcpnet.Join(ctx, tcpnet.Config{Name: name, Addr: "127.0.0.1:0", Label: "client"})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	if err := node.Wait(ctx, 1); err != nil {
		t.Fatal(err)
	}
	check := func(peer string, opts ...grpc.CallOption) (*grpc_health_v1.HealthCheckResponse, error) {
		client, err := dial(node, peer)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		return grpc_health_v1.NewHealthClient(client).Check(ctx, &grpc_health_v1.HealthCheckRequest{}, opts...)
	}
	for _, peer := range []string{"kitchen", "kitchen.mesh", "kitchen.mesh:443"} {
		if answer, err := check(peer, grpc.WaitForReady(true)); err != nil || answer.Status != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("%s: %v, %v", peer, answer, err)
		}
	}
	if _, err := check("nobody"); status.Code(err) != codes.Unavailable {
		t.Errorf("nobody: %v", err)
	} else {
		t.Log(err)
	}
}
