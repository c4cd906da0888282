// Package metrics gives what a tcpnet node has done to Prometheus. It is a module of
// its own, so that programs without metrics do not depend on the client library.
//
// A ready dashboard for Grafana is in dashboard.json beside this file.
package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/tcpnet"
	"example.com/tcpnet/discovery/mdns"
)

// NewCollector returns the metrics of a node. Register it:
//
//	prometheus.MustRegister(metrics.NewCollector(node))
//
// The metrics have the label cluster, the node's Config.Name, and none that grows with
// the number of peers. They are taken from [tcpnet.Node.Stats] when they are asked for,
// and cost nothing else. If a process has several nodes of one cluster, tell them apart
// with [prometheus.WrapRegistererWith]. The collector may outlive the node.
func NewCollector(node *tcpnet.Node) prometheus.Collector {
	labels := prometheus.Labels{"cluster": node.Status().Name}
	c := &collector{node: node}
	metrics := ofNode()
	if node.Stats().MDNS != nil {
		metrics = append(metrics, ofMDNS()...)
	}
	for _, m := range metrics {
		m.desc = prometheus.NewDesc(prometheus.BuildFQName("tcpnet", "", m.name), m.help, m.labels(), labels)
		c.metrics = append(c.metrics, m)
	}
	return c
}

// collector gives the metrics of one node.
type collector struct {
	node    *tcpnet.Node
	metrics []metric
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		ch <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s := c.node.Stats()
	for _, m := range c.metrics {
		m.collect(m.desc, &s, ch)
	}
}

// metric is one of those that are collected.
type metric struct {
	name    string
	help    string
	label   string // the one label beside cluster, or none
	collect func(*prometheus.Desc, *tcpnet.Stats, chan<- prometheus.Metric)
	desc    *prometheus.Desc
}

func (m metric) labels() []string {
	if m.label == "" {
		return nil
	}
	return []string{m.label}
}

func number[N int | uint64](name, help string, kind prometheus.ValueType, value func(*tcpnet.Stats) N) metric {
	return metric{name: name, help: help, collect: func(d *prometheus.Desc, s *tcpnet.Stats, ch chan<- prometheus.Metric) {
		ch <- prometheus.MustNewConstMetric(d, kind, float64(value(s)))
	}}
}

func gauge[N int | uint64](name, help string, value func(*tcpnet.Stats) N) metric {
	return number(name, help, prometheus.GaugeValue, value)
}

func counter(name, help string, value func(*tcpnet.Stats) uint64) metric {
	return number(name, help, prometheus.CounterValue, value)
}

// counters are a counter for each value of a label.
func counters(name, help, label string, values func(*tcpnet.Stats) map[string]uint64) metric {
	return metric{name: name, help: help, label: label, collect: func(d *prometheus.Desc, s *tcpnet.Stats, ch chan<- prometheus.Metric) {
		for word, v := range values(s) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), word)
		}
	}}
}

func histogram(name, help string, value func(*tcpnet.Stats) tcpnet.Histogram) metric {
	return metric{name: name, help: help, collect: func(d *prometheus.Desc, s *tcpnet.Stats, ch chan<- prometheus.Metric) {
		h := value(s)
		buckets := make(map[float64]uint64)
		count := uint64(0)
		for i, n := range h.Counts {
			count += n
			if i < len(h.Bounds) {
				buckets[h.Bounds[i].Seconds()] = count
			}
		}
		ch <- prometheus.MustNewConstHistogram(d, count, time.Duration(h.Sum).Seconds(), buckets)
	}}
}

// ofNode returns the metrics of any node. Each is on the dashboard, and has to be.
func ofNode() []metric {
	return []metric{
		gauge("peers", "Peers that the program has a connection to.", func(s *tcpnet.Stats) int { return s.Connected }),
		gauge("peers_missing", "Nodes that are known, have not left, and are not linked: there is no way to them now.", func(s *tcpnet.Stats) int { return s.Missing }),
		counter("joins_total", "Connections to peers that came up.", func(s *tcpnet.Stats) uint64 { return s.Joined }),
		counters("leaves_total", "Connections to peers that ended, by reason.", "reason", func(s *tcpnet.Stats) map[string]uint64 { return s.Left }),
		counters("rejections_total", "Nodes that were not connected to, by reason.", "reason", func(s *tcpnet.Stats) map[string]uint64 { return s.Rejected }),
		counters("strangers_total", "Sockets that came in and led to no peer, by what was wrong.", "kind", strangers),
		gauge("pending", "Sockets that have come in and whose handshake is not finished.", func(s *tcpnet.Stats) int { return s.Pending }),
		gauge("dialing", "Attempts to connect that are under way.", func(s *tcpnet.Stats) int { return s.Dialing }),
		counter("dials_total", "Attempts to connect to a node.", func(s *tcpnet.Stats) uint64 { return s.Dials }),
		counter("dial_failures_total", "Attempts to connect to a node that led to nobody.", func(s *tcpnet.Stats) uint64 { return s.DialFailures }),
		histogram("handshake_seconds", "Time from the first packet to a node until its answer, where it gave one.", func(s *tcpnet.Stats) tcpnet.Histogram { return s.Handshakes }),
		histogram("rtt_seconds", "Round trips to peers that were measured.", func(s *tcpnet.Stats) tcpnet.Histogram { return s.RTT }),
		counter("read_bytes_total", "Bytes that the program has read from connections.", func(s *tcpnet.Stats) uint64 { return s.BytesRead }),
		counter("written_bytes_total", "Bytes that were written to connections.", func(s *tcpnet.Stats) uint64 { return s.BytesWritten }),
		gauge("streams", "Streams that are open.", func(s *tcpnet.Stats) int { return s.Streams }),
		counter("messages_sent_total", "Messages of Broadcast and Send that were written, each peer's.", func(s *tcpnet.Stats) uint64 { return s.Send.Sent }),
		counter("messages_dropped_total", "Messages of Broadcast and Send that were dropped, each peer's.", func(s *tcpnet.Stats) uint64 { return s.Send.Dropped }),
		counter("messages_dropped_bytes_total", "Bytes of the messages that were dropped.", func(s *tcpnet.Stats) uint64 { return s.Send.DroppedBytes }),
		gauge("queue_messages", "Messages that wait in the queues of all peers.", func(s *tcpnet.Stats) uint64 { return s.Send.Queued }),
		gauge("queue_bytes", "Bytes that wait in the queues of all peers.", func(s *tcpnet.Stats) uint64 { return s.Send.QueuedBytes }),
		gauge("queue_longest_bytes", "Bytes that wait in the longest queue of a peer.", func(s *tcpnet.Stats) uint64 { return s.Backlog }),
	}
}

// ofMDNS returns those of a node that is found by mDNS, which are of all such nodes of
// the process.
func ofMDNS() []metric {
	return []metric{
		counters("mdns_sent_packets_total", "mDNS packets sent by the process, by purpose.", "kind", func(s *tcpnet.Stats) map[string]uint64 {
			return sent(s.MDNS, func(t mdns.Traffic) uint64 { return t.Packets })
		}),
		counters("mdns_sent_bytes_total", "Bytes of the mDNS packets sent by the process, by purpose.", "kind", func(s *tcpnet.Stats) map[string]uint64 {
			return sent(s.MDNS, func(t mdns.Traffic) uint64 { return t.Bytes })
		}),
		counter("mdns_received_packets_total", "mDNS packets received by the process.", func(s *tcpnet.Stats) uint64 { return s.MDNS.Received.Packets }),
		counter("mdns_received_bytes_total", "Bytes of the mDNS packets received by the process.", func(s *tcpnet.Stats) uint64 { return s.MDNS.Received.Bytes }),
		counters("mdns_ignored_packets_total", "mDNS packets received and not used, by why.", "why", func(s *tcpnet.Stats) map[string]uint64 {
			m := s.MDNS
			return map[string]uint64{
				"dropped": m.Dropped, "unrelated": m.Unrelated, "repeated": m.Repeated, "off_link": m.OffLink, "unreadable": m.ParseErrors,
			}
		}),
		counter("mdns_send_errors_total", "mDNS packets that could not be sent.", func(s *tcpnet.Stats) uint64 { return s.MDNS.SendErrors }),
		gauge("mdns_instances", "Instances of services in the cache.", func(s *tcpnet.Stats) uint64 { return s.MDNS.Instances }),
	}
}

// sent returns a figure of what was sent, by purpose.
func sent(s *mdns.Stats, figure func(mdns.Traffic) uint64) map[string]uint64 {
	return map[string]uint64{
		"announcement": figure(s.Announcements), "answer": figure(s.Answers), "reply": figure(s.Replies),
		"goodbye": figure(s.Goodbyes), "query": figure(s.Queries), "one_shot_query": figure(s.OneShotQueries),
	}
}

// strangers names the counts of strangers.
func strangers(s *tcpnet.Stats) map[string]uint64 {
	n := s.Strangers
	return map[string]uint64{
		"garbage": n.Garbage, "wrong_name": n.WrongName, "busy": n.Busy, "not_admitted": n.NotAdmitted,
		"no_secret": n.NoSecret, "mixed": n.Mixed, "other": n.Other,
	}
}
