package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"example.com/tcpnet"
	"example.com/tcpnet/meshhttp"
)

// service is what Raft's streams are called.
const service = "raft"

// streams is how Raft reaches other nodes: its StreamLayer. Addresses are those of
// tcpnet, which have a node's ID where others have a host.
type streams struct {
	net.Listener
	node *tcpnet.Node
}

// Dial opens a stream to the node with this address.
func (s streams) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return s.node.DialContext(ctx, string(address), service)
}

// address is where Raft reaches the node with this ID.
func address(id tcpnet.ID) raft.ServerAddress {
	return raft.ServerAddress(tcpnet.ServiceAddr{ID: id, Service: service}.String())
}

// store is this node's part of the store.
type store struct {
	node      *tcpnet.Node
	raft      *raft.Raft
	values    *values
	transport *http.Transport // to peers
}

// newStore makes a part that belongs to no store yet. All is in memory, and the node
// has a new ID whenever it starts: what Raft has to remember of a server, it cannot
// forget.
func newStore(node *tcpnet.Node, log hclog.Logger) (*store, error) {
	ln, err := node.Listen(service)
	if err != nil {
		return nil, err
	}
	cfg := raft.DefaultConfig()
	cfg.LocalID = raft.ServerID(node.ID())
	cfg.Logger = log
	network := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: streams{ln, node}, MaxPool: 3, Timeout: 10 * time.Second, Logger: log,
	})
	s := &store{node: node, values: newValues(), transport: meshhttp.Transport(node)}
	disk := raft.NewInmemStore()
	s.raft, err = raft.NewRaft(cfg, s.values, disk, disk, raft.NewInmemSnapshotStore(), network)
	if err != nil {
		network.Close()
		return nil, err
	}
	return s, nil
}

// close leaves the store.
func (s *store) close() {
	s.raft.Shutdown().Error()
	s.transport.CloseIdleConnections()
}

// Limits of one request.
const (
	maxValue  = 1 << 20
	applyTime = 5 * time.Second
)

// handler serves
//
//	GET, PUT and DELETE /KEY
//	GET /                     how the store is
//
// at any node: requests for keys go to the leader.
func (s *store) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.status)
	mux.Handle("GET /{key}", s.atLeader(s.get))
	mux.Handle("PUT /{key}", s.atLeader(s.put))
	mux.Handle("DELETE /{key}", s.atLeader(s.delete))
	return mux
}

// status is what GET / answers.
type status struct {
	ID      tcpnet.ID   `json:"id"`
	State   string      `json:"state"`
	Leader  tcpnet.ID   `json:"leader,omitempty"`
	Servers []tcpnet.ID `json:"servers"` // those that the store consists of
}

func (s *store) status(w http.ResponseWriter, r *http.Request) {
	_, leader := s.raft.LeaderWithID()
	st := status{ID: s.node.ID(), State: s.raft.State().String(), Leader: tcpnet.ID(leader)}
	for _, server := range s.raft.GetConfiguration().Configuration().Servers {
		st.Servers = append(st.Servers, tcpnet.ID(server.ID))
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(st)
}

// forwarded is in the header of a request that another node has passed on.
const forwarded = "Raftkv-Forwarded"

// atLeader passes requests on if this node is not the leader.
func (s *store) atLeader(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, leader := s.raft.LeaderWithID()
		switch {
		case tcpnet.ID(leader) == s.node.ID():
			h(w, r)
		case leader == "" || r.Header.Get(forwarded) != "":
			http.Error(w, "there is no leader now; try again", http.StatusServiceUnavailable)
		default:
			proxy := &httputil.ReverseProxy{
				Transport: s.transport,
				Rewrite: func(r *httputil.ProxyRequest) {
					r.SetURL(&url.URL{Scheme: "http", Host: string(leader) + tcpnet.Suffix})
					r.Out.Header.Set(forwarded, string(s.node.ID()))
				},
				ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
					http.Error(w, fmt.Sprintf("the leader: %v", err), http.StatusServiceUnavailable)
				},
			}
			proxy.ServeHTTP(w, r)
		}
	})
}

func (s *store) get(w http.ResponseWriter, r *http.Request) {
	// It is the leader for certain only if most others still say so.
	if err := s.raft.VerifyLeader().Error(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	v, ok := s.values.get(r.PathValue("key"))
	if !ok {
		http.Error(w, "no such key", http.StatusNotFound)
		return
	}
	io.WriteString(w, v)
}

func (s *store) put(w http.ResponseWriter, r *http.Request) {
	v, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxValue))
	if err != nil {
		status := http.StatusBadRequest
		if errors.As(err, new(*http.MaxBytesError)) {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(w, err.Error(), status)
		return
	}
	text := string(v)
	s.apply(w, change{Key: r.PathValue("key"), Value: &text})
}

func (s *store) delete(w http.ResponseWriter, r *http.Request) {
	s.apply(w, change{Key: r.PathValue("key")})
}

// apply makes a change when most nodes have it.
func (s *store) apply(w http.ResponseWriter, c change) {
	b, err := json.Marshal(c)
	if err == nil {
		err = s.raft.Apply(b, applyTime).Error()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "apply:", err)
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
