package tcpnettest_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/tcpnettest"
)

func TestTen(t *testing.T) {
	tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
		var nodes []*tcpnet.Node
		for _, h := range lan.Hosts(10) {
			nodes = append(nodes, h.Join(tcpnet.Config{}))
		}
		begin := time.Now()
		for _, n := range nodes {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := n.Wait(ctx, 9); err != nil {
				t.Errorf("%v %v", n.ID(), len(n.Connections()))
			}
		}
		t.Log(time.Since(begin))
		time.Sleep(time.Hour)
	})
}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
