package tcpnet

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"example.com/tcpnet/internal/link"
	"example.com/tcpnet/internal/mesh"
)

// Bounds on what Config.StateFile holds.
const (
	stateVersion  = 1
	maxStatePeers = 256
	maxStateAddrs = 16
	maxStateAge   = 30 * 24 * time.Hour // since there was a link
	maxStateBytes = 1 << 20
)

// stateFile is the content of Config.StateFile: peers that were met, the latest
// first.
type stateFile struct {
	Version int         `json:"version"`
	Name    string      `json:"name"` // of the cluster
	Peers   []statePeer `json:"peers"`
}

type statePeer struct {
	ID    ID               `json:"id"`
	Label string           `json:"label,omitempty"` // for people who read the file
	Addrs []netip.AddrPort `json:"addrs"`
	Seen  time.Time        `json:"seen"`
}

var (
	errOtherCluster = errors.New("it belongs to another cluster")
	errNewerState   = errors.New("it was written by a later version")
)

// readState reads the file at path, which is to be of a cluster. Without a file there
// is nothing to remember.
func readState(path, name string, now time.Time) ([]statePeer, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxStateBytes+1))
	if err != nil {
		return nil, err
	}
	return parseState(text, name, now)
}

// parseState takes the content of a file apart. What makes no sense in a peer's entry
// is left out, and entries that are too old are.
func parseState(text []byte, name string, now time.Time) ([]statePeer, error) {
	var f stateFile
	if len(text) > maxStateBytes {
		return nil, fmt.Errorf("it has more than %d bytes", maxStateBytes)
	}
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, fmt.Errorf("it is damaged: %w", err)
	}
	switch {
	case f.Version > stateVersion:
		return nil, fmt.Errorf("%w: %d", errNewerState, f.Version)
	case f.Version < 1:
		return nil, errors.New("it is damaged: no version")
	case f.Name != name:
		return nil, fmt.Errorf("%w: %q", errOtherCluster, f.Name)
	}
	var peers []statePeer
	for _, p := range f.Peers {
		id, err := ParseID(string(p.ID))
		if err != nil {
			continue
		}
		p.ID = id
		p.Addrs = slices.DeleteFunc(p.Addrs, func(a netip.AddrPort) bool { return !a.IsValid() || a.Port() == 0 })
		p.Addrs = p.Addrs[:min(len(p.Addrs), maxStateAddrs)]
		if p.Seen.After(now) { // the clock was wrong, or is
			p.Seen = now
		}
		if len(p.Addrs) > 0 && now.Sub(p.Seen) <= maxStateAge {
			peers = append(peers, p)
		}
	}
	return peers[:min(len(peers), maxStatePeers)], nil
}

// mergeState returns what is to be remembered of peers that were met lately and of
// those remembered before. An address at which a peer was met lately is no longer that
// of another one.
func mergeState(lately map[ID]statePeer, before []statePeer, now time.Time) []statePeer {
	taken := make(map[netip.AddrPort]bool)
	for _, p := range lately {
		for _, a := range p.Addrs {
			taken[a] = true
		}
	}
	all := slices.Collect(maps.Values(lately))
	for _, p := range before {
		if q, ok := lately[p.ID]; ok && !p.Seen.After(q.Seen) {
			continue
		} else if ok { // another node that shares the file has seen it later
			all = slices.DeleteFunc(all, func(x statePeer) bool { return x.ID == p.ID })
		} else {
			p.Addrs = slices.DeleteFunc(slices.Clone(p.Addrs), func(a netip.AddrPort) bool { return taken[a] })
		}
		if len(p.Addrs) > 0 {
			all = append(all, p)
		}
	}
	all = slices.DeleteFunc(all, func(p statePeer) bool { return now.Sub(p.Seen) > maxStateAge })
	slices.SortFunc(all, func(a, b statePeer) int { return cmp.Or(b.Seen.Compare(a.Seen), a.ID.Compare(b.ID)) })
	return all[:min(len(all), maxStatePeers)]
}

// writeState puts a new file in the place of the one at path: at no moment is there
// half of one. Only its owner may read it.
func writeState(path, name string, peers []statePeer) (err error) {
	text, err := json.MarshalIndent(stateFile{stateVersion, name, peers}, "", "\t")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(append(text, '\n')); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}

// metState is what the mesh knows of a peer, as it is kept.
func metState(m mesh.Met) statePeer {
	return statePeer{ID(m.ID), m.Label, m.Addrs[:min(len(m.Addrs), maxStateAddrs)], m.Seen.UTC().Truncate(time.Second)}
}

func (p *statePeer) met() mesh.Met {
	return mesh.Met{ID: link.ID(p.ID), Label: p.Label, Addrs: p.Addrs, Seen: p.Seen}
}
