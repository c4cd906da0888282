package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
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
			m.form(ctx)
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
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// form makes a store of the nodes that are there, if these are as many as there have to
// be, all see the same, none is part of a store, and this node is the first of them.
// Two stores cannot come of it: both would have a node in common, if each has more than
// half of all, and that would have to see exactly the one and exactly the other.
func (m *members) form(ctx context.Context) {
	st := m.node.Status()
	everyone := []tcpnet.ID{m.node.ID()}
	for _, p := range st.Peers {
		everyone = append(everyone, p.ID)
	}
	slices.SortFunc(everyone, tcpnet.ID.Compare)
	if len(everyone) != m.size || everyone[0] != m.node.ID() {
		return
	}
	for _, p := range st.Peers {
		seen := append(slices.Clone(p.Sees), p.ID)
		slices.SortFunc(seen, tcpnet.ID.Compare)
		if !p.SeesKnown || !slices.Equal(seen, everyone) {
			return
		}
		if free, err := m.isFree(ctx, p.ID); err != nil || !free {
			return // it belongs to a store, whose leader will find us
		}
	}
	var c raft.Configuration
	for _, id := range everyone {
		c.Servers = append(c.Servers, raft.Server{ID: raft.ServerID(id), Address: address(id)})
	}
	if err := m.raft.BootstrapCluster(c).Error(); err != nil {
		fmt.Println("cannot form a store:", err)
	}
}

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
