package mdns_test

import (
	"context"
	"fmt"
	"log"

	"example.com/tcpnet/discovery"
	"example.com/tcpnet/discovery/mdns"
)

// A printer shows what it is told.
type printer struct{}

func (printer) Found(c discovery.Candidate) { fmt.Println(c.ID, "may be at", c.Addrs) }
func (printer) Foreign(f discovery.Foreign) { fmt.Println(f.Name, "is no node:", f.Why) }

func ExampleDiscoverer() {
	d := mdns.New(mdns.Options{})
	session, err := d.Start(context.Background(), discovery.Self{
		Cluster: "chat", ID: "0123456789ABCDEF", Port: 7000,
	}, printer{})
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	fmt.Println(d.Stats().Announcements.Packets, "announcements so far")
}
