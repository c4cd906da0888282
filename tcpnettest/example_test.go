package tcpnettest_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"testing"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/tcpnettest"
)

// test stands for the function of a test, which has a t of its own.
func test(f func(t *testing.T)) {
	for name, value := range map[string]string{"test.v": "false", "test.count": "1"} {
		f := flag.Lookup(name)
		defer f.Value.Set(f.Value.String())
		f.Value.Set(value)
	}
	testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: "example", F: f}})
}

// A cluster of ten falls into two halves, and is one again.
func Example() {
	test(func(t *testing.T) {
		tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
			hosts := lan.Hosts(10)
			var nodes []*tcpnet.Node
			for _, h := range hosts {
				nodes = append(nodes, h.Join(tcpnet.Config{}))
			}
			time.Sleep(time.Second)
			fmt.Println("all:", len(nodes[0].Connections()), tcpnettest.Meshed(nodes...))

			lan.Partition(hosts[:5], hosts[5:])
			time.Sleep(time.Minute)
			fmt.Println("one half:", len(nodes[0].Connections()), tcpnettest.Meshed(nodes[:5]...))

			lan.Heal()
			time.Sleep(5 * time.Second)
			fmt.Println("all again:", len(nodes[0].Connections()), tcpnettest.Meshed(nodes...))
		})
	})
	// Output:
	// all: 9 <nil>
	// one half: 4 <nil>
	// all again: 9 <nil>
}

// A program as users have it: it joins with the context that it is given, greets
// whoever connects, and tells what it hears.
func greeter(ctx context.Context, name string, heard func(string)) error {
	node, err := tcpnet.Join(ctx, tcpnet.Config{Name: "greeters", Handler: func(c *tcpnet.Conn) {
		defer c.Close()
		fmt.Fprintf(c, "hello from %s\n", name)
		for lines := bufio.NewScanner(c); lines.Scan(); {
			heard(lines.Text())
		}
	}})
	if err != nil {
		return err
	}
	defer node.Close()
	<-ctx.Done()
	return nil
}

// My program keeps working when the cable is pulled.
func ExampleHost_Unplug() {
	test(func(t *testing.T) {
		tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			began := time.Now()
			tell := func(s string) { fmt.Printf("%4.0f s  a heard: %s\n", time.Since(began).Seconds(), s) }
			a, b := lan.Host("a"), lan.Host("b")
			go greeter(a.Context(ctx), "a", tell)
			go greeter(b.Context(ctx), "b", func(string) {})
			time.Sleep(100 * time.Second)

			b.Unplug("eth0")
			time.Sleep(100 * time.Second)
			b.Plug("eth0")
			time.Sleep(100 * time.Second)
		})
	})
	// Output:
	//    0 s  a heard: hello from b
	//  200 s  a heard: hello from b
}

// A machine that loses its power closes nothing. The others notice all the same.
func ExampleHost_PowerOff() {
	test(func(t *testing.T) {
		tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
			a, b := lan.Host("a"), lan.Host("b")
			node := a.Join(tcpnet.Config{})
			b.Join(tcpnet.Config{})
			conn, err := node.Accept(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			b.PowerOff()
			<-conn.Context().Done()
			fmt.Println(errors.Is(context.Cause(conn.Context()), tcpnet.ErrTimeout), "within 15 s:", time.Since(began) < 15*time.Second)
		})
	})
	// Output: true within 15 s: true
}

// Over a busy wireless network.
func ExampleLAN_SetConditions() {
	test(func(t *testing.T) {
		tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
			lan.SetConditions(tcpnettest.WiFi)
			var nodes []*tcpnet.Node
			for _, h := range lan.Hosts(5) {
				nodes = append(nodes, h.Join(tcpnet.Config{}))
			}
			time.Sleep(10 * time.Second)
			fmt.Println(tcpnettest.Meshed(nodes...))
		})
	})
	// Output: <nil>
}
