package tcpnet

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"example.com/tcpnet/internal/link"
)

// Status is what a node knows at one moment: who is connected, who is missing and
// why, and who else is there. It is made for people, and can be encoded as JSON.
type Status struct {
	Name       string           `json:"name"`
	ID         ID               `json:"id"`
	Label      string           `json:"label"`
	Private    bool             `json:"private"` // Config.Secrets or Config.TLS is set
	Addrs      []netip.AddrPort `json:"addrs"`
	Services   []string         `json:"services,omitempty"` // what it listens for, see Node.Listen
	Peers      []PeerStatus     `json:"peers"`              // linked with this node, by ID
	Candidates []Candidate      `json:"candidates"`         // found or once met, but not linked, by ID
	Seeds      []SeedStatus     `json:"seeds,omitempty"`    // addresses without an ID
	Foreign    []ForeignStatus  `json:"foreign,omitempty"`  // services of the cluster's name that are no nodes
	Strangers  Strangers        `json:"strangers"`          // sockets that came in and led to no peer
	Pending    int              `json:"pending"`            // sockets that have come in and whose handshake is not finished
	Dialing    int              `json:"dialing"`            // attempts to connect that are under way
}

// PeerStatus tells of one peer.
type PeerStatus struct {
	PeerInfo
	Connected bool          `json:"connected"`      // the program has its connection
	Since     time.Time     `json:"since"`          // when the two nodes were linked
	RTT       time.Duration `json:"rtt"`            // smoothed round trip in ns; 0 before the first measurement
	Dialled   bool          `json:"dialled"`        // by this node
	Streams   int           `json:"streams"`        // open between the two nodes, not counting the connection
	Sees      []ID          `json:"sees,omitempty"` // the nodes that the peer is linked with, where it is known
	SeesKnown bool          `json:"sees_known"`     // Sees is meaningful
	Send      SendStatus    `json:"send"`
}

// SendStatus tells of the messages that Broadcast and Send have sent over a peer's
// present connection.
type SendStatus struct {
	Queued       uint64 `json:"queued"`       // messages that wait
	QueuedBytes  uint64 `json:"queued_bytes"` // that these take of Config.Queue.Size
	Sent         uint64 `json:"sent"`         // messages handed to the system
	SentBytes    uint64 `json:"sent_bytes"`
	Dropped      uint64 `json:"dropped"` // messages
	DroppedBytes uint64 `json:"dropped_bytes"`
}

// Candidate tells of a node that is known of and that there is no link to.
type Candidate struct {
	ID     ID               `json:"id"`
	Addrs  []netip.AddrPort `json:"addrs"`
	Source string           `json:"source"`          // who told of it: "mdns", "peer …", …
	Met    bool             `json:"met"`             // it was a peer once
	Left   bool             `json:"left"`            // it said goodbye; false while another with its ID, lost less than an hour ago, is looked for
	Found  time.Time        `json:"found"`           // when it was last told of
	Tries  int              `json:"tries"`           // attempts in a row that failed
	Next   time.Time        `json:"next,omitzero"`   // when it is tried next
	Error  string           `json:"error,omitempty"` // why the last attempt failed, or why it was lost
}

// SeedStatus tells of an address without an ID: one of Config.Seeds, or one that
// discovery has told of, as the DNS does.
type SeedStatus struct {
	Addr  string `json:"addr"`
	ID    ID     `json:"id,omitempty"`    // the node that it has led to
	Error string `json:"error,omitempty"` // why the last attempt failed
}

// ForeignStatus tells of a service that uses the cluster's name and is not a node.
// It is never dialled.
type ForeignStatus struct {
	Name   string           `json:"name"`
	Addrs  []netip.AddrPort `json:"addrs,omitempty"`
	Source string           `json:"source"`
	Why    string           `json:"why"`
}

// Strangers counts sockets that came in since Join and led to no peer.
type Strangers struct {
	Garbage     uint64 `json:"garbage"`      // did not speak the protocol, or too slowly
	WrongName   uint64 `json:"wrong_name"`   // belong to another cluster
	Busy        uint64 `json:"busy"`         // came when there were too many
	NotAdmitted uint64 `json:"not_admitted"` // were refused by Config.Admit
	NoSecret    uint64 `json:"no_secret"`    // did not prove the secret of this private cluster, or have no valid certificate
	Mixed       uint64 `json:"mixed"`        // are open where this node is private, or private where it is open
	Other       uint64 `json:"other"`        // meant another node, speak another version, or have this node's ID
}

// Status returns what the node knows now.
func (n *Node) Status() Status {
	m := n.mesh.Status()
	st := Status{
		Name:       n.cfg.Name,
		ID:         n.cfg.ID,
		Label:      n.cfg.Label,
		Private:    n.guard != nil,
		Addrs:      n.Addrs(),
		Peers:      []PeerStatus{},
		Candidates: []Candidate{},
		Strangers:  Strangers(m.Strangers),
		Pending:    m.Pending,
		Dialing:    m.Dialing,
	}
	for _, p := range m.Linked {
		var send SendStatus
		if c, ok := n.Connection(ID(p.ID)); ok {
			send = c.out.status()
		}
		st.Peers = append(st.Peers, PeerStatus{
			PeerInfo:  peerInfo(p.Peer),
			Connected: p.Connected,
			Since:     p.Since,
			RTT:       p.RTT,
			Dialled:   p.Dialled,
			Sees:      ids(p.Sees),
			SeesKnown: p.SeesKnown,
			Send:      send,
		})
	}
	for _, p := range m.Missing {
		st.Candidates = append(st.Candidates, Candidate{
			ID: ID(p.ID), Addrs: p.Addrs, Source: p.Source, Met: p.Met, Left: p.Left,
			Found: p.Found, Tries: p.Tries, Next: p.Next, Error: errorText(p.Err),
		})
	}
	for _, s := range m.Seeds {
		st.Seeds = append(st.Seeds, SeedStatus{s.Addr, ID(s.ID), errorText(s.Err)})
	}
	st.Services = slices.Sorted(slices.Values(n.mesh.Services()))
	n.mu.Lock()
	defer n.mu.Unlock()
	streams := make(map[ID]int)
	for s := range n.streams {
		streams[s.peer.ID]++
	}
	for i := range st.Peers {
		st.Peers[i].Streams = streams[st.Peers[i].ID]
	}
	for _, name := range slices.Sorted(maps.Keys(n.foreign)) {
		st.Foreign = append(st.Foreign, ForeignStatus(n.foreign[name]))
	}
	return st
}

func ids(in []link.ID) (out []ID) {
	for _, id := range in {
		out = append(out, ID(id))
	}
	return out
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
