package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"example.com/tcpnet"
)

// members makes the nodes that are there the servers of the store.
type members struct {
	node      *tcpnet.Node
	raft      *raft.Raft
	transport *http.Transport
	size      int           // of the store when it forms
	forget    time.Duration // how long a server may be gone

	told   string                  // what it waits for, as was told last
	ready  bool                    // it was told that the store can be used
	leader tcpnet.ID               // the last one that was told of
	gone   map[tcpnet.ID]time.Time // servers that are not connected, and since when
}

// lookEvery is how often members looks at what has changed without an event.
const lookEvery = 500 * time.Millisecond

// keep looks after the members until ctx ends.
func (m *members) keep(ctx context.Context) {
	m.gone = make(map[tcpnet.ID]time.Time)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		servers := m.raft.GetConfiguration().Configuration().Servers
		switch {
		case len(servers) == 0:
			m.waits(m.form(ctx))
		case m.raft.State() == raft.Leader:
			m.lead(servers)
		}
		if _, id := m.raft.LeaderWithID(); tcpnet.ID(id) != m.leader {
			m.leader = tcpnet.ID(id)
			if id != "" {
				fmt.Printf("the leader is %s\n", id)
			} else {
				fmt.Println("there is no leader")
			}
		}
		switch {
		case len(servers) == 0 || m.ready:
		case m.leader == "":
			m.waits("a leader to be chosen")
		default:
			m.ready = true
			fmt.Fprintf(os.Stderr, "ready: a store of %d nodes\n", len(servers))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// waits tells what this node waits for, if that has changed.
func (m *members) waits(what string) {
	if what != m.told {
		m.told = what
		fmt.Fprintf(os.Stderr, "waiting for %s\n", what)
	}
}

// form makes a store of the nodes that are there, if these are as many as there have to
// be, all see the same, none is part of a store, and this node is the first of them. It
// returns what has to come before this node is part of a store.
// Two stores cannot come of it: both would have a node in common, if each has more than
// half of all, and that would have to see exactly the one and exactly the other.
func (m *members) form(ctx context.Context) (wait string) {
	st := m.node.Status()
	everyone := []tcpnet.ID{m.node.ID()}
	names := []string{"this one"}
	for _, p := range st.Peers {
		everyone = append(everyone, p.ID)
		names = append(names, name(p))
	}
	slices.SortFunc(everyone, tcpnet.ID.Compare)
	here := strings.Join(names, ", ")
	switch n := len(everyone); {
	case n < m.size:
		return fmt.Sprintf("more nodes: %d of %d are here: %s", n, m.size, here)
	case n > m.size:
		return fmt.Sprintf("a store to take this node in, or until exactly %d nodes (-n) are here and can form one: now %d are: %s", m.size, n, here)
	case everyone[0] != m.node.ID():
		return fmt.Sprintf("%s to form a store of the %d nodes that are here: %s", everyone[0], n, here)
	}
	for _, p := range st.Peers {
		seen := append(slices.Clone(p.Sees), p.ID)
		slices.SortFunc(seen, tcpnet.ID.Compare)
		if !p.SeesKnown || !slices.Equal(seen, everyone) {
			return fmt.Sprintf("%s to see the same %d nodes as this one: %s", name(p), m.size, here)
		}
		if free, err := m.isFree(ctx, p.ID); err != nil {
			return fmt.Sprintf("%s to answer: %v", name(p), err)
		} else if !free { // its leader will find us
			return fmt.Sprintf("the store to take this node in that %s belongs to", name(p))
		}
	}
	var c raft.Configuration
	for _, id := range everyone {
		c.Servers = append(c.Servers, raft.Server{ID: raft.ServerID(id), Address: address(id)})
	}
	if err := m.raft.BootstrapCluster(c).Error(); err != nil {
		return fmt.Sprintf("a store, which cannot be formed: %v", err)
	}
	return "a leader to be chosen"
}

// name is what a peer is called in messages.
func name(p tcpnet.PeerStatus) string { return fmt.Sprintf("%s (%s)", p.ID, p.Label) }

// isFree reports whether a peer is not part of a store yet.
func (m *members) isFree(ctx context.Context, id tcpnet.ID) (bool, error) {
	c := &http.Client{Transport: m.transport, Timeout: 2 * time.Second}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+string(id)+tcpnet.Suffix+"/", nil)
	if err != nil {
		return false, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	var st status
	err = json.NewDecoder(resp.Body).Decode(&st)
	return len(st.Servers) == 0, err
}

// lead is what the leader does: it takes in nodes that have come, and removes those that
// are gone for long, so that they do not count toward the majority for ever.
func (m *members) lead(servers []raft.Server) {
	here := map[tcpnet.ID]bool{m.node.ID(): true}
	for _, p := range m.node.Status().Peers {
		here[p.ID] = true
		if !slices.ContainsFunc(servers, func(s raft.Server) bool { return tcpnet.ID(s.ID) == p.ID }) {
			err := m.raft.AddVoter(raft.ServerID(p.ID), address(p.ID), 0, applyTime).Error()
			fmt.Printf("%s is taken in: %v\n", p.ID, orDone(err))
		}
	}
	for _, s := range servers {
		id := tcpnet.ID(s.ID)
		switch since, missed := m.gone[id]; {
		case here[id]:
			delete(m.gone, id)
		case !missed:
			m.gone[id] = time.Now()
		case time.Since(since) > m.forget:
			delete(m.gone, id)
			err := m.raft.RemoveServer(s.ID, 0, applyTime).Error()
			fmt.Printf("%s is forgotten: %v\n", id, orDone(err))
		}
	}
}

func orDone(err error) any {
	if err == nil {
		return "done"
	}
	return err
}
