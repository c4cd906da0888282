package main

import (
	"fmt"
	"os"
	"time"

	"example.com/tcpnet/bench/report"
)

// pollEvery is how often the harness looks at what the nodes have reported.
// The times are the nodes' own, so that seldom costs nothing but patience.
const pollEvery = 20 * time.Millisecond

// fleet is the running nodes of one system.
type fleet struct {
	lan     *lan
	sys     system
	members []*member
	seen    *tracker
	watch   func(from int, e report.Event) // sees every event, unless it is nil
}

func newFleet(l *lan, s system) *fleet { return &fleet{lan: l, sys: s, seen: newTracker()} }

// start starts one more node, on the host of its own place.
func (f *fleet) start() (*member, error) {
	place := len(f.members)
	m, err := f.launch(place, f.sys.id(place))
	if err == nil {
		f.members = append(f.members, m)
	}
	return m, err
}

// again starts the node at a place once more, under that id. The one before it
// must have ended.
func (f *fleet) again(place int, id string) error {
	m, err := f.launch(place, id)
	if err == nil {
		f.members[place] = m
	}
	return err
}

// launch starts a node with an id on the host of a place.
func (f *fleet) launch(place int, id string) (*member, error) {
	m, err := startMember(f.lan.hosts[place], id, f.sys.command(f.lan, place, id))
	if err != nil {
		return nil, fmt.Errorf("starting node %d of %s: %w", place, f.sys.name(), err)
	}
	f.seen.add(place, id)
	return m, nil
}

// startAll starts n nodes, with a pause after each.
func (f *fleet) startAll(n int, pace time.Duration) error {
	for range n {
		if _, err := f.start(); err != nil {
			return err
		}
		if pace > 0 {
			time.Sleep(pace)
		}
	}
	return nil
}

// places returns the places of all nodes that have been started.
func (f *fleet) places() []int {
	all := make([]int, len(f.members))
	for i := range all {
		all[i] = i
	}
	return all
}

// drain takes in what all nodes have reported so far.
func (f *fleet) drain() error {
	for i, m := range f.members {
		err := m.drain(func(e report.Event) error {
			if f.watch != nil {
				f.watch(i, e)
			}
			return f.seen.apply(i, e)
		})
		if err != nil {
			return fmt.Errorf("%s: %w", f.sys.name(), err)
		}
	}
	return nil
}

// wait takes in events until done, or until limit has passed.
func (f *fleet) wait(limit time.Duration, done func() bool) (bool, error) {
	for end := time.Now().Add(limit); ; time.Sleep(pollEvery) {
		if err := f.drain(); err != nil {
			return false, err
		}
		if done() {
			return true, nil
		}
		if time.Now().After(end) {
			return false, nil
		}
	}
}

// waitFull waits until the mesh of all nodes is full.
func (f *fleet) waitFull(limit time.Duration) (at int64, full bool, err error) {
	all := f.places()
	full, err = f.wait(limit, func() bool {
		at, full = f.seen.fullAt(all)
		return full
	})
	return at, full, err
}

// incomplete tells people of a mesh that did not become full in time.
func (f *fleet) incomplete(when string) {
	missing, doubled := f.seen.missing(f.places())
	fmt.Fprintf(os.Stderr, "%s, %d nodes, %s: %d pairs missing, %d doubled\n", f.sys.name(), len(f.members), when, missing, doubled)
}

// stop kills all nodes.
func (f *fleet) stop() {
	for _, m := range f.members {
		m.process.Cmd.Process.Kill()
	}
	for _, m := range f.members {
		m.kill()
	}
	f.members = nil
}
