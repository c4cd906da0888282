package gossip

import (
	"fmt"
	"net"
	"testing"

	"github.com/hashicorp/memberlist"

	"example.com/tcpnet/discovery"
)

// However many nodes with random IDs there have been, one that takes the place of one
// with its ID is still known for it.
func TestANodeComesBackAfterMoreNodesThanAreRemembered(t *testing.T) {
	d := New(memberlist.DefaultLocalConfig())
	s := &session{own: newEntry(discovery.Self{Cluster: "x", ID: "A", Port: 1}), more: make(chan struct{}, 1)}
	d.sessions = []*session{s}
	// hear has a member tell of a node that has just started there, and returns whether
	// the session was told that it has made itself known.
	hear := func(member, id string) bool {
		e := newEntry(discovery.Self{Cluster: "x", ID: id, Port: 1})
		(*events)(d).NotifyUpdate(&memberlist.Node{Name: member, Addr: net.IPv4(10, 0, 0, 1), Meta: join(nil, []entry{e})})
		last := s.queue[len(s.queue)-1]
		if last.ID != id {
			t.Fatalf("told of %s instead of %s", last.ID, id)
		}
		return last.Announced
	}
	hear("old", "FIXED")
	for i := range maxStarts {
		hear("busy", fmt.Sprint(i))
	}
	hear("new", "LATER")
	for _, c := range []struct{ member, id string }{{"old", "FIXED"}, {"new", "LATER"}} {
		if !hear(c.member, c.id) {
			t.Errorf("%s has not come back, but is another", c.id)
		}
	}
	if len(d.starts) > maxStarts {
		t.Errorf("%d are remembered", len(d.starts))
	}
}
