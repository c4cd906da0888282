package main

import (
	"encoding/json"
	"io"
	"maps"
	"sync"

	"github.com/hashicorp/raft"
)

// values are the keys and values of the store, as Raft's state machine.
type values struct {
	mu sync.RWMutex // guards m
	m  map[string]string
}

// change is an entry of Raft's log.
type change struct {
	Key   string  `json:"key"`
	Value *string `json:"value"` // nil: delete
}

func newValues() *values { return &values{m: make(map[string]string)} }

func (v *values) get(key string) (string, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	s, ok := v.m[key]
	return s, ok
}

// Apply makes a change.
func (v *values) Apply(entry *raft.Log) any {
	var c change
	if err := json.Unmarshal(entry.Data, &c); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if c.Value == nil {
		delete(v.m, c.Key)
	} else {
		v.m[c.Key] = *c.Value
	}
	return nil
}

// Snapshot returns the values as they are.
func (v *values) Snapshot() (raft.FSMSnapshot, error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return snapshot(maps.Clone(v.m)), nil
}

// Restore replaces the values by those of a snapshot.
func (v *values) Restore(in io.ReadCloser) error {
	defer in.Close()
	m := make(map[string]string)
	if err := json.NewDecoder(in).Decode(&m); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.m = m
	return nil
}

// snapshot is the values at one moment.
type snapshot map[string]string

// Persist writes the snapshot.
func (s snapshot) Persist(sink raft.SnapshotSink) error {
	if err := json.NewEncoder(sink).Encode(map[string]string(s)); err != nil {
		sink.Cancel()
		return err
	}
	return sink.Close()
}

// Release does nothing: there is nothing to give back.
func (snapshot) Release() {}
