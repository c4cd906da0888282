package tcpnet

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"example.com/tcpnet/internal/mesh"
)

// When Config.StateFile is written: soon after a peer was met, not all the time while
// peers come and go, and now and then so that a peer that stays is not forgotten.
const (
	memorySoon   = time.Second
	memoryGap    = 10 * time.Second
	memoryAnyway = 6 * time.Hour
)

// memory keeps Config.StateFile up to date, in a goroutine of its own: a slow disk
// keeps nobody waiting but Close.
type memory struct {
	node   *Node
	before []statePeer // found in the file when the node was started
	kick   chan struct{}
	stop   chan struct{}
	done   chan struct{}
	once   sync.Once

	// Of the goroutine alone.
	lately map[ID]statePeer
	dirty  bool
	told   string // the trouble that was logged last
}

// openMemory reads Config.StateFile. The result is nil if there is none to keep.
func (n *Node) openMemory() (*memory, error) {
	path := n.cfg.StateFile
	if path == "" {
		return nil, nil
	}
	if fi, err := os.Stat(path); err == nil && fi.IsDir() {
		return nil, fmt.Errorf("Config.StateFile: %s is a directory", path)
	}
	if fi, err := os.Stat(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("Config.StateFile: %w", err)
	} else if !fi.IsDir() {
		return nil, fmt.Errorf("Config.StateFile: %s is not a directory", filepath.Dir(path))
	}
	before, err := readState(path, n.cfg.Name, time.Now())
	switch {
	case errors.Is(err, errOtherCluster):
		return nil, fmt.Errorf("Config.StateFile: %s: %w", path, err)
	case errors.Is(err, errNewerState):
		n.cfg.Logger.Warn("the state file is not used", "path", path, "err", err)
		return nil, nil
	case err != nil:
		n.cfg.Logger.Warn("the state file is started anew", "path", path, "err", err)
	}
	return &memory{
		node: n, before: before, lately: make(map[ID]statePeer),
		kick: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}, nil
}

// begin dials those that are remembered, and begins to remember.
func (m *memory) begin() {
	if m == nil {
		return
	}
	var all []mesh.Met
	for _, p := range m.before {
		all = append(all, p.met())
	}
	m.node.mesh.Remember(all)
	go m.run()
}

// changed says that there may be something to remember.
func (m *memory) changed() {
	if m == nil {
		return
	}
	select {
	case m.kick <- struct{}{}:
	default:
	}
}

// end writes what there is to remember for the last time. It is called when begin
// has returned, and before the mesh is closed.
func (m *memory) end() {
	if m == nil {
		return
	}
	m.once.Do(func() { close(m.stop) })
	<-m.done
}

func (m *memory) run() {
	defer close(m.done)
	anyway := time.NewTicker(memoryAnyway)
	defer anyway.Stop()
	var due <-chan time.Time
	var last time.Time
	for {
		select {
		case <-m.stop:
			m.take()
			if len(m.lately) > 0 {
				m.write()
			}
			return
		case <-m.kick:
			m.take()
		case <-anyway.C:
			m.take()
			m.dirty = m.dirty || len(m.lately) > 0
		case <-due:
			due = nil
			m.write()
			last = time.Now()
		}
		if m.dirty && due == nil {
			due = time.After(max(memorySoon, time.Until(last.Add(memoryGap))))
		}
	}
}

// take looks who is there.
func (m *memory) take() {
	for _, x := range m.node.mesh.Met() {
		p := metState(x)
		if len(p.Addrs) == 0 {
			continue
		}
		old, known := m.lately[p.ID]
		if !known || old.Label != p.Label || !slices.Equal(old.Addrs, p.Addrs) {
			m.dirty = true
		}
		m.lately[p.ID] = p
	}
	if len(m.lately) > 2*maxStatePeers {
		kept := mergeState(m.lately, nil, time.Now())
		clear(m.lately)
		for _, p := range kept {
			m.lately[p.ID] = p
		}
	}
}

// write writes the file. What others who share it have written meanwhile is kept.
func (m *memory) write() {
	if m.dirty = false; m.node.host.Dead() {
		return
	}
	cfg, now := &m.node.cfg, time.Now()
	before, err := readState(cfg.StateFile, cfg.Name, now)
	if errors.Is(err, errOtherCluster) || errors.Is(err, errNewerState) {
		m.trouble(err)
		return
	}
	if err != nil {
		before = m.before
	}
	m.trouble(writeState(cfg.StateFile, cfg.Name, mergeState(m.lately, before, now)))
}

// trouble logs an error that was not logged last.
func (m *memory) trouble(err error) {
	text := ""
	if err != nil {
		text = err.Error()
		if text != m.told {
			m.node.cfg.Logger.Warn("cannot write the state file", "path", m.node.cfg.StateFile, "err", err)
		}
	}
	m.told = text
}
