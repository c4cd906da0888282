package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/examples/internal/program"
)

func TestMain(m *testing.M) { program.Main(m, main) }

// patience is how long a test waits for the store to be as it should.
const patience = time.Minute

// server is one node, in a process of its own.
type server struct {
	*program.Program
	id  tcpnet.ID
	url string
}

func start(t *testing.T, name string, n int) server {
	t.Helper()
	p := program.Start(t, fmt.Sprint("server ", n), "-name", name, "-addr", "127.0.0.1:0", "-n", "3", "-forget", "2s")
	said := p.Expect(`^(\S+) serves clients at (http://\S+)`)
	return server{p, tcpnet.ID(said[1]), said[2]}
}

// client has no connections that outlive a request.
var client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// do makes one request, of which the server may say that it cannot answer it now.
func (s server) do(method, path, body string) (string, error) {
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s: %s", resp.Status, b)
	}
	return string(b), err
}

// eventually does something until it succeeds.
func eventually(t *testing.T, what string, do func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = do(); err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}

func put(t *testing.T, s server, key, value string) {
	t.Helper()
	eventually(t, "put "+key, func() error {
		_, err := s.do(http.MethodPut, "/"+key, value)
		return err
	})
}

func has(t *testing.T, s server, key, value string) {
	t.Helper()
	eventually(t, "get "+key, func() error {
		got, err := s.do(http.MethodGet, "/"+key, "")
		if err == nil && got != value {
			t.Fatalf("%s is %q at %s, want %q", key, got, s.id, value)
		}
		return err
	})
}

func (s server) status() (st status, err error) {
	text, err := s.do(http.MethodGet, "/", "")
	if err == nil {
		err = json.Unmarshal([]byte(text), &st)
	}
	return st, err
}

// consists waits until a server says that the store consists of exactly these, and
// returns the leader.
func consists(t *testing.T, s server, of ...server) (leader tcpnet.ID) {
	t.Helper()
	var want []tcpnet.ID
	for _, o := range of {
		want = append(want, o.id)
	}
	slices.Sort(want)
	eventually(t, "the store's servers", func() error {
		st, err := s.status()
		slices.Sort(st.Servers)
		if err == nil && (!slices.Equal(st.Servers, want) || st.Leader == "") {
			err = fmt.Errorf("status %+v, want %v", st, want)
		}
		leader = st.Leader
		return err
	})
	return leader
}

// Three nodes that know nothing but a name form a store. It goes on when its leader is
// killed, and takes in another node, which then has all that was ever written.
func TestTheStoreFormsAndSurvivesTheLossOfItsLeader(t *testing.T) {
	name := rand.Text()
	var servers []server
	for i := range 3 {
		servers = append(servers, start(t, name, i))
	}
	for _, s := range servers {
		consists(t, s, servers...)
		s.Expect(`^ready: a store of 3 nodes$`)
	}
	for i, s := range servers {
		put(t, s, fmt.Sprint("key", i), fmt.Sprint("written at ", i))
	}
	for _, s := range servers {
		for i := range servers {
			has(t, s, fmt.Sprint("key", i), fmt.Sprint("written at ", i))
		}
	}
	if _, err := servers[0].do(http.MethodDelete, "/key2", ""); err != nil {
		t.Fatal(err)
	}

	leader := consists(t, servers[0], servers...)
	var left []server
	for _, s := range servers {
		if s.id == leader {
			s.Kill()
		} else {
			left = append(left, s)
		}
	}
	if len(left) != 2 {
		t.Fatalf("the leader is %s, which is none of them", leader)
	}
	put(t, left[0], "after", "the loss")
	has(t, left[1], "after", "the loss")
	has(t, left[1], "key0", "written at 0")

	fresh := start(t, name, 3)
	consists(t, fresh, left[0], left[1], fresh) // it is in, and the one that is lost is forgotten
	has(t, fresh, "after", "the loss")
	has(t, fresh, "key1", "written at 1")
	if _, err := fresh.do(http.MethodGet, "/key2", ""); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("a key that was deleted: %v", err)
	}
	// The two that are left of the first three are a majority of the new three.
	left[0].Interrupt()
	put(t, fresh, "last", "words")
	has(t, left[1], "last", "words")
}

// A node alone does not take itself for a store, and says so.
func TestOneOfThreeServesNobody(t *testing.T) {
	s := start(t, rand.Text(), 0)
	s.Expect(`^waiting for more nodes: 1 of 3 are here: this one$`)
	if _, err := s.do(http.MethodPut, "/key", "value"); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("put: %v", err)
	}
	st, err := s.status()
	if err != nil || len(st.Servers) != 0 || st.Leader != "" {
		t.Errorf("status %+v, %v", st, err)
	}
	s.Interrupt()
}

// What went into a snapshot comes out of it.
func TestSnapshot(t *testing.T) {
	v, w := newValues(), newValues()
	v.m["a"], v.m["b"] = "1", "2"
	w.m["c"] = "gone"
	s, err := v.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	v.m["a"] = "changed later"
	sink := &sink{}
	if err := s.Persist(sink); err != nil || !sink.closed {
		t.Fatal(err)
	}
	if err := w.Restore(io.NopCloser(strings.NewReader(sink.String()))); err != nil {
		t.Fatal(err)
	}
	if a, _ := w.get("a"); a != "1" || len(w.m) != 2 {
		t.Errorf("restored %v", w.m)
	}
	if err := w.Restore(io.NopCloser(strings.NewReader("{"))); err == nil || len(w.m) != 2 {
		t.Errorf("restored from half of one: %v, %v", err, w.m)
	}
	if err := s.Persist(&failing{}); err == nil {
		t.Error("a failure is not told")
	}
}

type sink struct {
	strings.Builder
	closed, canceled bool
}

func (s *sink) ID() string    { return "test" }
func (s *sink) Close() error  { s.closed = true; return nil }
func (s *sink) Cancel() error { s.canceled = true; return nil }

type failing struct{ sink }

func (*failing) Write([]byte) (int, error) { return 0, errors.New("no room") }
