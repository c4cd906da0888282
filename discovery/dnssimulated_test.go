package discovery_test

import (
	"context"
	"testing"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/discovery"
	"example.com/tcpnet/tcpnettest"
)

// On a simulated network names are those of its hosts, and nothing else is asked.
func TestDNSOfASimulatedNetwork(t *testing.T) {
	tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
		first := lan.Host("first").Join(tcpnet.Config{Addr: ":4000", Discovery: []discovery.Discoverer{}})
		second := lan.Host("second").Join(tcpnet.Config{Discovery: []discovery.Discoverer{discovery.DNS("first:4000"), discovery.DNS("nobody")}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := second.Wait(ctx, 1); err != nil {
			t.Fatalf("%v: %+v", err, second.Status())
		}
		if err := first.Wait(ctx, 1); err != nil {
			t.Error(err)
		}
	})
}
