package metrics_test

import (
	"context"
	"crypto/rand"
	"io"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"example.com/tcpnet"
	"example.com/tcpnet/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// join makes a node on loopback that is closed when the test ends.
func join(t *testing.T, cfg tcpnet.Config) *tcpnet.Node {
	t.Helper()
	cfg.Addr = "127.0.0.1:0"
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	n, err := tcpnet.Join(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

// gather returns the families of a node's metrics by name, having checked that they
// are consistent.
func gather(t *testing.T, n *tcpnet.Node) map[string]*dto.MetricFamily {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(metrics.NewCollector(n))
	all, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	families := make(map[string]*dto.MetricFamily)
	for _, f := range all {
		families[f.GetName()] = f
	}
	return families
}

func TestFiguresOfTwoNodes(t *testing.T) {
	name := "metrics-" + rand.Text()
	a := join(t, tcpnet.Config{Name: name})
	b := join(t, tcpnet.Config{Name: name, Handler: func(c *tcpnet.Conn) { c.Write([]byte("hello")) }})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := a.Accept(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	families := gather(t, a)
	single := func(name string) float64 {
		m := families[name].GetMetric()
		if len(m) != 1 {
			t.Fatalf("%s has %d metrics", name, len(m))
		}
		if labels := m[0].GetLabel(); len(labels) != 1 || labels[0].GetName() != "cluster" || labels[0].GetValue() != a.Status().Name {
			t.Errorf("%s has the labels %v", name, labels)
		}
		return m[0].GetGauge().GetValue() + m[0].GetCounter().GetValue()
	}
	for name, want := range map[string]float64{
		"tcpnet_peers": 1, "tcpnet_joins_total": 1, "tcpnet_read_bytes_total": 5, "tcpnet_written_bytes_total": 0, "tcpnet_queue_bytes": 0,
	} {
		if got := single(name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	// One of the two has dialled, and the answer was timed.
	count := func(f map[string]*dto.MetricFamily) uint64 {
		return f["tcpnet_handshake_seconds"].GetMetric()[0].GetHistogram().GetSampleCount()
	}
	if count(families)+count(gather(t, b)) == 0 {
		t.Error("no handshake was timed")
	}

	b.Close()
	<-c.Context().Done()
	for _, m := range gather(t, a)["tcpnet_leaves_total"].GetMetric() {
		want := 0.0
		for _, l := range m.GetLabel() {
			if l.GetName() == "reason" && l.GetValue() == "left" {
				want = 1
			}
		}
		if got := m.GetCounter().GetValue(); got != want {
			t.Errorf("%v: %v", m.GetLabel(), got)
		}
	}
}

// More peers do not make more metrics.
func TestMetricsDoNotGrowWithPeers(t *testing.T) {
	name := "metrics-" + rand.Text()
	a := join(t, tcpnet.Config{Name: name})
	count := func() (n int) {
		for f := range maps.Values(gather(t, a)) {
			n += len(f.GetMetric())
		}
		return n
	}
	before := count()
	for range 3 {
		join(t, tcpnet.Config{Name: name})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := a.Wait(ctx, 3); err != nil {
		t.Fatal(err)
	}
	if after := count(); after != before {
		t.Errorf("%d metrics without peers, %d with three", before, after)
	}
}

func TestNodesOfTwoClustersInOneRegistry(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	for range 2 {
		n := join(t, tcpnet.Config{Name: "metrics-" + rand.Text()})
		if err := r.Register(metrics.NewCollector(n)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Gather(); err != nil {
		t.Error(err)
	}
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
