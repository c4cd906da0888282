package tcpnet_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net/rpc"
	"os"
	"strings"

	"example.com/tcpnet"
	"example.com/tcpnet/discovery"
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

// A service has a name, and is reached at any peer by the peer's label or ID.
func ExampleNode_DialContext() {
	ctx := context.Background()
	name := fmt.Sprintf("streams-%d", os.Getpid())
	pi, err := tcpnet.Join(ctx, tcpnet.Config{Name: name, Addr: "127.0.0.1:0", Label: "kitchen-pi"})
	if err != nil {
		log.Fatal(err)
	}
	defer pi.Close()
	ln, err := pi.Listen("greeting")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return // the node is closed
			}
			fmt.Fprintf(c, "hello %s\n", c.(*tcpnet.Stream).Peer().Label)
			c.Close()
		}
	}()

	laptop, err := tcpnet.Join(ctx, tcpnet.Config{Name: name, Addr: "127.0.0.1:0", Label: "laptop"})
	if err != nil {
		log.Fatal(err)
	}
	defer laptop.Close()
	if err := laptop.Wait(ctx, 1); err != nil {
		log.Fatal(err)
	}
	c, err := laptop.DialContext(ctx, "kitchen-pi", "greeting")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	io.Copy(os.Stdout, c)
	// Output: hello laptop
}

// A listener is a net.Listener, and a stream a net.Conn: net/rpc and whatever else is
// built on them works without more.
func ExampleNode_Listen() {
	ctx := context.Background()
	node, err := tcpnet.Join(ctx, tcpnet.Config{
		Name: fmt.Sprintf("rpc-%d", os.Getpid()), Addr: "127.0.0.1:0", Label: "alone", Discovery: []discovery.Discoverer{},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	ln, err := node.Listen("rpc")
	if err != nil {
		log.Fatal(err)
	}
	server := rpc.NewServer()
	server.RegisterName("Strings", Strings{})
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go server.ServeConn(c)
		}
	}()

	c, err := node.DialContext(ctx, "alone", "rpc") // itself, for want of others
	if err != nil {
		log.Fatal(err)
	}
	client := rpc.NewClient(c)
	defer client.Close()
	var loud string
	if err := client.Call("Strings.Upper", "hello", &loud); err != nil {
		log.Fatal(err)
	}
	fmt.Println(loud)
	// Output: HELLO
}

// Strings is what the program offers in ExampleNode_Listen.
type Strings struct{}

func (Strings) Upper(s string, reply *string) error {
	*reply = strings.ToUpper(s)
	return nil
}

// A message to all peers never waits for one of them. Messages have no bounds on the
// wire: here each is a line.
func ExampleNode_Broadcast() {
	ctx := context.Background()
	name := fmt.Sprintf("broadcast-%d", os.Getpid())
	a, err := tcpnet.Join(ctx, tcpnet.Config{Name: name, Addr: "127.0.0.1:0", Queue: tcpnet.Queue{Full: tcpnet.DropOldest}})
	if err != nil {
		log.Fatal(err)
	}
	defer a.Close()
	heard := make(chan string)
	for _, label := range []string{"b", "c"} {
		node, err := tcpnet.Join(ctx, tcpnet.Config{Name: name, Addr: "127.0.0.1:0", Label: label, Handler: func(c *tcpnet.Conn) {
			for lines := bufio.NewScanner(c); lines.Scan(); {
				heard <- label + " heard: " + lines.Text()
			}
		}})
		if err != nil {
			log.Fatal(err)
		}
		defer node.Close()
	}
	if err := a.Wait(ctx, 2); err != nil {
		log.Fatal(err)
	}

	d := a.Broadcast([]byte("dinner is ready\n"))
	for c, outcome := range d.Peers() {
		if outcome == tcpnet.OutcomeDropped {
			fmt.Println(c.Peer().Label, "is too slow")
		}
	}

	fmt.Println(<-heard)
	fmt.Println(<-heard)
	// Unordered output:
	// b heard: dinner is ready
	// c heard: dinner is ready
}
