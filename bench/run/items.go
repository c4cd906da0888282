package main

import "time"

// items are the subcommands and their defaults.
var items = []item{
	{"join", "1, 10, 50 nodes run, one more starts", join.measure, options{
		n: []int{1, 10, 50}, runs: 10, settle: 2 * time.Second,
		limit: 30 * time.Second, budget: 15 * time.Minute, liveness: "none",
	}},
	{"cold", "2, 10, 30 nodes start together (for a hundred: -n 100 -runs 3)", cold.measure, options{
		n: []int{2, 10, 30}, runs: 10,
		limit: 60 * time.Second, budget: 15 * time.Minute, liveness: "none",
	}},
	{"loss", "10 nodes start while 20 % of all frames are lost", loss.measure, options{
		n: []int{10}, runs: 20, loss: 20, floor: insistent,
		limit: 60 * time.Second, budget: 45 * time.Minute, liveness: "none",
	}},
	{"kill", "of 10 nodes one is killed", kill.measure, options{
		n: []int{10}, runs: 10, settle: 2 * time.Second,
		limit: 30 * time.Second, budget: 15 * time.Minute, liveness: "none",
	}},
	{"hang", "of 10 nodes one is stopped and continued (also: -liveness fast)", hang.measure, options{
		n: []int{10}, runs: 10, settle: 2 * time.Second, floor: insistent,
		limit: 30 * time.Second, budget: 30 * time.Minute, liveness: "default",
	}},
	{"cut", "of 10 hosts one loses its cable and gets it back (also: -liveness fast)", cut.measure, options{
		n: []int{10}, cut: "carrier", runs: 10, settle: 2 * time.Second, floor: insistent,
		limit: 30 * time.Second, budget: 30 * time.Minute, liveness: "default",
	}},
	{"split", "10 hosts are split 5+5 for 20 s (for longer: -away 60s)", split.measure, options{
		n: []int{10}, runs: 10, settle: 2 * time.Second, away: 20 * time.Second, floor: insistent,
		limit: 60 * time.Second, budget: 45 * time.Minute, liveness: "default",
	}},
	{"idle", "30 nodes have nothing to do", idle.measure, options{
		n: []int{30}, runs: 3, settle: 30 * time.Second, window: time.Minute,
		limit: 60 * time.Second, budget: 30 * time.Minute, liveness: "default",
	}},
	{"memory", "what a node holds among 1, 10, 30, 100", memory, options{
		n: []int{1, 10, 30, 100}, runs: 3, settle: 10 * time.Second,
		limit: 60 * time.Second, budget: 30 * time.Minute, liveness: "none",
	}},
	{"stream", "one connection beside a bare one: write, sendfile, splice", stream, options{
		runs: 10, bytes: 1 << 30,
		limit: 60 * time.Second, budget: 15 * time.Minute, liveness: "none",
	}},
	{"broadcast", "one of 10 nodes sends messages to all: speed and delay", broadcast.measure, options{
		n: []int{10}, runs: 7, settle: time.Second, window: 3 * time.Second, messages: []int{64, 64 << 10, 64, 64 << 10},
		limit: 30 * time.Second, budget: 15 * time.Minute, liveness: "none",
	}},
	{"laggard", "one of 10 nodes sends messages to all, one is stopped (SIGSTOP)", laggard.measure, options{
		n: []int{10}, runs: 5, settle: time.Second, window: 8 * time.Second, messages: []int{64 << 10, 64 << 10}, floor: []string{"-drop"},
		limit: 30 * time.Second, budget: 15 * time.Minute, liveness: "none",
	}},
	{"secret", "what a secret costs: join, cold start, handshakes, and a stream beside crypto/tls", secret, options{
		n: []int{10, 50}, runs: 10, settle: 2 * time.Second, bytes: 1 << 30, compared: "tcpnet,secret",
		limit: 60 * time.Second, budget: 30 * time.Minute, liveness: "none",
	}},
	{"quiet", "10 nodes of each system on busy cores for 10 minutes: false alarms", quiet, options{
		n: []int{10}, window: 10 * time.Minute, settle: 2 * time.Second, burners: 1, floor: insistent,
		limit: 60 * time.Second, budget: 15 * time.Minute, liveness: "default",
	}},
	{"reliability", "the table of docs/RELIABILITY.md: every fault five times", reliability, options{
		runs: 5, settle: 4 * time.Second, limit: 60 * time.Second, atOnce: 1, liveness: "none",
	}},
	{"soak", "20 nodes among faults of all kinds for an hour, on busy cores: nobody is lost, nothing grows", soak, options{
		n: []int{20}, window: time.Hour, settle: 5 * time.Second, burners: 1,
		limit: 60 * time.Second, liveness: "default",
	}},
	{"burn", "keep one core busy (what quiet uses)", burn, options{window: time.Minute, liveness: "none"}},
}

// insistent is how the floor dials where dials fail.
var insistent = []string{"-dial-timeout", "500ms", "-redial", "100ms"}
