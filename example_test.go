package tcpnet_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"

	"example.com/tcpnet"
)

// Two nodes in one program, for want of a second machine. On loopback nothing
// leaves the machine.
func Example() {
	ctx := context.Background()
	name := fmt.Sprintf("example-%d", os.Getpid()) // usually a constant
	a, err := tcpnet.Join(ctx, tcpnet.Config{Name: name, Addr: "127.0.0.1:0", Label: "a"})
	if err != nil {
		log.Fatal(err)
	}
	defer a.Close()
	b, err := tcpnet.Join(ctx, tcpnet.Config{Name: name, Addr: "127.0.0.1:0", Label: "b"})
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()

	toA, err := b.Accept(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintf(toA, "hello %s\n", toA.Peer().Label)
	toA.CloseWrite()

	toB, err := a.Accept(ctx)
	if err != nil {
		log.Fatal(err)
	}
	io.Copy(os.Stdout, toB)
	// Output: hello a
}

func ExampleNode_Events() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	name := fmt.Sprintf("events-%d", os.Getpid())
	a, err := tcpnet.Join(ctx, tcpnet.Config{Name: name, Addr: "127.0.0.1:0"})
	if err != nil {
		log.Fatal(err)
	}
	defer a.Close()
	b, err := tcpnet.Join(ctx, tcpnet.Config{Name: name, Addr: "127.0.0.1:0", Label: "b"})
	if err != nil {
		log.Fatal(err)
	}
	for e := range a.Events(ctx) {
		switch e := e.(type) {
		case tcpnet.Joined:
			fmt.Println("joined:", e.Conn.Peer().Label)
			go b.Close()
		case tcpnet.Left:
			fmt.Println("left:", e.Conn.Peer().Label, "because", e.Reason)
			return
		}
	}
	// Output:
	// joined: b
	// left: b because the peer has left
}
