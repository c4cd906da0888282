package main

import "time"

// items are the subcommands and their defaults.
var items = []item{
	{"join", "1, 10, 50 nodes run, one more starts", join.measure,
		options{n: []int{1, 10, 50}, runs: 10, budget: 15 * time.Minute, limit: 30 * time.Second, settle: 2 * time.Second}},
	{"cold", "2, 10, 30 nodes start together (-n 100 -runs 3 for a hundred)", cold.measure,
		options{n: []int{2, 10, 30}, runs: 10, budget: 15 * time.Minute, limit: 60 * time.Second}},
	{"loss", "10 nodes start while 20 % of all frames are lost", loss.measure,
		options{n: []int{10}, runs: 20, budget: 15 * time.Minute, limit: 60 * time.Second, loss: 20,
			floor: []string{"-dial-timeout", "500ms", "-redial", "100ms"}}},
}
