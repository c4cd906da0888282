package metrics_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/tcpnet"
	"example.com/tcpnet/metrics"
)

// A program that serves promhttp.Handler, as most do, needs no more than the line
// that registers the collector.
func Example() {
	node, err := tcpnet.Join(context.Background(), tcpnet.Config{
		Name: fmt.Sprintf("metrics-%d", os.Getpid()),
		Addr: "127.0.0.1:0",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	prometheus.MustRegister(metrics.NewCollector(node))

	families, err := prometheus.DefaultGatherer.Gather()
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "tcpnet_peers" {
			fmt.Println(f.GetHelp(), f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	// Output: Peers that the program has a connection to. 0
}
