//go:build linux

package labtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/internal/lab"
)

// A member is a node in a process of its own.
type member struct {
	cluster *cluster
	host    *lab.Host
	process *lab.Process
	stdin   io.Writer

	// Guarded by the cluster's mutex.
	id     tcpnet.ID // once it has joined
	addrs  []netip.AddrPort
	live   map[tcpnet.ID]*connection
	events []event
	log    bytes.Buffer
}

// connection is one that a member has.
type connection struct {
	number        int
	local, remote netip.AddrPort
	joined        time.Time
	heard         string
}

// start starts a node on a host. It does not wait for it: see [member.ready].
func (c *cluster) start(h *lab.Host, how ...func(*settings)) *member {
	c.t.Helper()
	s := settings{Name: c.name}
	for _, f := range how {
		f(&s)
	}
	text, err := json.Marshal(s)
	if err != nil {
		c.t.Fatal(err)
	}
	self := c.program
	if self == "" {
		if self, err = os.Executable(); err != nil {
			c.t.Fatal(err)
		}
	}
	m := &member{cluster: c, host: h, live: map[tcpnet.ID]*connection{}}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), settingsVariable+"="+string(text), "GORACE=atexit_sleep_ms=0")
	cmd.Stdout = &lines{take: m.told}
	cmd.Stderr = &lines{take: m.logged}
	if m.stdin, err = cmd.StdinPipe(); err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	c.members = append(c.members, m)
	c.mu.Unlock()
	m.process = h.Start(cmd)
	return m
}

// What a node can be told to be.
func withID(id tcpnet.ID) func(*settings)    { return func(s *settings) { s.ID = id } }
func listening(addr string) func(*settings)  { return func(s *settings) { s.Addr = addr } }
func seeded(seeds ...string) func(*settings) { return func(s *settings) { s.Seeds = seeds } }
func using(interfaces ...string) func(*settings) {
	return func(s *settings) { s.Interfaces = interfaces }
}
func fast(s *settings)   { s.Fast = true }
func chatty(s *settings) { s.Chatty = true }

// private makes a node know a new secret, the same for all that it is given to.
func private() func(*settings) {
	key := randomBytes(32)
	return func(s *settings) { s.Secret = key }
}

func (m *member) String() string {
	return fmt.Sprintf("%.8s on %s", m.id, m.host.Name)
}

// lines calls take for every line written to it.
type lines struct {
	take func(line []byte)
	rest []byte
}

func (l *lines) Write(b []byte) (int, error) {
	l.rest = append(l.rest, b...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 {
			return len(b), nil
		}
		l.take(l.rest[:i])
		l.rest = l.rest[i+1:]
	}
}

func (m *member) logged(line []byte) {
	m.cluster.mu.Lock()
	defer m.cluster.mu.Unlock()
	if m.log.Len() < 1<<20 {
		m.log.Write(append(line, '\n'))
	}
}

// told takes a line that the node has printed.
func (m *member) told(line []byte) {
	m.cluster.mu.Lock()
	defer m.cluster.mu.Unlock()
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		m.log.Write(append(line, '\n'))
		return
	}
	m.events = append(m.events, e)
	switch e.Kind {
	case ready:
		m.id, m.addrs = e.ID, e.Addrs
	case joined:
		x := m.live[e.ID]
		if x == nil || x.number != e.Conn {
			x = &connection{number: e.Conn}
			m.live[e.ID] = x
		}
		x.local, x.remote, x.joined = e.Local, e.Remote, e.Time
	case heard:
		if x := m.live[e.ID]; x != nil && x.number == e.Conn {
			x.heard = e.Text
		} else if !m.ended(e.Conn) { // told before joined
			m.live[e.ID] = &connection{number: e.Conn, heard: e.Text}
		}
	case left:
		if x := m.live[e.ID]; x != nil && x.number == e.Conn {
			delete(m.live, e.ID)
		}
	}
	close(m.cluster.changed)
	m.cluster.changed = make(chan struct{})
}

// ended reports whether the node has told of the end of a connection.
func (m *member) ended(number int) bool {
	return lastIndex(m.events, func(e event) bool { return e.Kind == left && e.Conn == number }) >= 0
}

// ready waits until the node has joined.
func (m *member) ready() *member {
	m.cluster.t.Helper()
	m.cluster.await(patience, func() error {
		if m.id == "" {
			return fmt.Errorf("the node on %s has not joined", m.host.Name)
		}
		return nil
	})
	return m
}

// port returns the TCP port of a node that is ready.
func (m *member) port() uint16 {
	m.cluster.mu.Lock()
	defer m.cluster.mu.Unlock()
	return m.addrs[0].Port()
}

// shutdown has the node leave in good order, and waits until it has.
func (m *member) shutdown() {
	m.cluster.t.Helper()
	m.process.Signal(syscall.SIGTERM)
	if err := m.process.Wait(); err != nil {
		m.cluster.t.Errorf("%v: %v", m, err)
	}
}

// all returns the events of a kind that the node has told.
func (m *member) all(kind eventKind) (es []event) {
	m.cluster.mu.Lock()
	defer m.cluster.mu.Unlock()
	for _, e := range m.events {
		if e.Kind == kind {
			es = append(es, e)
		}
	}
	return es
}

// inspect asks the node how it is.
func (m *member) inspect() (e event) {
	m.cluster.t.Helper()
	before := len(m.all(status))
	if _, err := io.WriteString(m.stdin, "status\n"); err != nil {
		m.cluster.t.Fatal(err)
	}
	m.cluster.await(patience, func() error {
		n := 0
		for _, e = range m.events {
			if e.Kind == status {
				if n++; n > before {
					return nil
				}
			}
		}
		return fmt.Errorf("%v does not tell its status", m)
	})
	return e
}

// files returns how many files the process has open.
func (m *member) files() int {
	m.cluster.t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", m.process.Cmd.Process.Pid))
	if err != nil {
		m.cluster.t.Fatal(err)
	}
	return len(open)
}

// has returns nil if the node has told of an event with a reason. It is for
// [cluster.await].
func (m *member) has(kind eventKind, reason string) error {
	if lastIndex(m.events, func(e event) bool { return e.Kind == kind && e.Reason == reason }) < 0 {
		return fmt.Errorf("%v has not told of %q, %q", m, kind, reason)
	}
	return nil
}

// to returns the connection that the node has to another.
func (m *member) to(o *member) connection {
	m.cluster.t.Helper()
	m.cluster.mu.Lock()
	defer m.cluster.mu.Unlock()
	x := m.live[o.id]
	if x == nil {
		m.cluster.t.Fatalf("%v is not connected with %v", m, o)
	}
	return *x
}

// status waits until the node's Status is as it should be.
func (m *member) status(is func(*tcpnet.Status) error) {
	m.cluster.t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = is(m.inspect().Status); err == nil {
			return
		}
	}
	m.cluster.t.Fatalf("Status of %v: %v", m, err)
}
