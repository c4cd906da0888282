//go:build linux

package labtest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/discovery"
	"example.com/tcpnet/discovery/mdns"
)

// settingsVariable is the environment variable that makes the test binary a node.
const settingsVariable = "TCPNET_LABTEST_NODE"

// settings are what a node is told to be.
type settings struct {
	Name       string
	ID         tcpnet.ID
	Addr       string
	Seeds      []string
	Interfaces []string // names; nil: all
	Fast       bool     // FastLiveness
	Chatty     bool     // always has something to say, on every connection
	Secret     []byte   // of a private cluster
	NoMDNS     bool
	DNS        string         // a name to find nodes by
	Server     netip.AddrPort // whom to ask for it
	State      string         // StateFile
}

// An event is a line that a node prints.
type event struct {
	Time time.Time
	Kind eventKind

	ID    tcpnet.ID        // ready: of the node itself; else of the peer
	Addrs []netip.AddrPort `json:",omitempty"` // ready

	Conn   int            `json:",omitempty"` // joined, left, heard: counts the node's connections from 1
	Local  netip.AddrPort // joined: the connection's ends
	Remote netip.AddrPort // joined, rejected

	Reason string `json:",omitempty"` // left, rejected: which of the errors of package tcpnet
	Text   string `json:",omitempty"` // rejected: all of the error; heard: the peer's first line

	Status     *tcpnet.Status `json:",omitempty"` // status
	Goroutines int            `json:",omitempty"` // status

	Opened int           `json:",omitempty"` // streamed: how many; Text is the error of one that was not
	Back   int           `json:",omitempty"` // of these, how many the peer has dialled
	Took   time.Duration `json:",omitempty"` // for all
	Heap   uint64        `json:",omitempty"` // status: bytes in use after a collection
}

type eventKind string

const (
	ready    eventKind = "ready"    // Join has returned
	joined   eventKind = "joined"   // Joined
	heard    eventKind = "heard"    // the peer's first line has arrived
	left     eventKind = "left"     // Left
	rejected eventKind = "rejected" // Rejected
	network  eventKind = "network"  // NetworkChanged
	lagged   eventKind = "lagged"   // Lagged
	status   eventKind = "status"   // an answer to the line "status"
	streamed eventKind = "streamed" // an answer to the line "stream COUNT ID"
	shifted  eventKind = "shifted"  // an answer to the line "clock SECONDS"
	closed   eventKind = "closed"   // Shutdown has returned
)

// reasons are the names of errors in events.
var reasons = map[string]error{
	"left":         tcpnet.ErrLeft,
	"timeout":      tcpnet.ErrTimeout,
	"restarted":    tcpnet.ErrRestarted,
	"reset":        tcpnet.ErrReset,
	"replaced":     tcpnet.ErrReplaced,
	"closed":       tcpnet.ErrClosed,
	"duplicate ID": tcpnet.ErrDuplicateID,
	"refused":      tcpnet.ErrRefused,
	"wrong name":   tcpnet.ErrWrongName,
	"not tcpnet":   tcpnet.ErrNotTCPNet,
	"version":      tcpnet.ErrVersion,
	"private":      tcpnet.ErrPrivate,
	"open":         tcpnet.ErrOpen,
	"no secret":    tcpnet.ErrNoSecret,
}

func reasonOf(err error) string {
	for name, r := range reasons {
		if errors.Is(err, r) {
			return name
		}
	}
	return err.Error()
}

// runNode is a program that uses the library as any other would: it greets every
// peer with a line that says its ID, reads what comes, and leaves in good order
// on SIGTERM. It tells all that happens to it. It does not return.
func runNode(text string) {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})))
	var s settings
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		panic(err)
	}
	p := &nodeProgram{chatty: s.Chatty, out: json.NewEncoder(os.Stdout), numbers: map[*tcpnet.Conn]int{}}
	cfg := tcpnet.Config{Name: s.Name, ID: s.ID, Addr: s.Addr, Seeds: s.Seeds, Handler: p.talk, Logger: slog.Default()}
	if s.Secret != nil {
		cfg.Secrets = [][]byte{s.Secret}
	}
	cfg.StateFile = s.State
	if s.NoMDNS {
		cfg.Discovery = []discovery.Discoverer{}
	}
	if s.DNS != "" {
		cfg.Discovery = []discovery.Discoverer{
			mdns.New(mdns.Options{Logger: slog.Default()}),
			discovery.NewDNS(s.DNS, discovery.DNSOptions{Servers: []netip.AddrPort{s.Server}, MinInterval: time.Second}),
		}
	}
	if s.Fast {
		cfg.Liveness = tcpnet.FastLiveness
	}
	if s.Interfaces != nil {
		cfg.Interfaces = func(i net.Interface) bool { return slices.Contains(s.Interfaces, i.Name) }
	}
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	node, err := tcpnet.Join(context.Background(), cfg)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	events := node.Events(context.Background())
	p.tell(event{Kind: ready, ID: node.ID(), Addrs: node.Addrs()})
	go serveEcho(node)
	go p.obey(node)
	go func() {
		<-terminated
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		err := node.Shutdown(ctx)
		e := event{Kind: closed}
		if err != nil {
			e.Text = err.Error()
		}
		p.tell(e)
		os.Exit(0)
	}()
	for e := range events {
		switch e := e.(type) {
		case tcpnet.Joined:
			p.tell(event{
				Kind: joined, ID: e.Conn.Peer().ID, Conn: p.number(e.Conn),
				Local: addrPort(e.Conn.LocalAddr()), Remote: addrPort(e.Conn.RemoteAddr()),
			})
		case tcpnet.Left:
			p.tell(event{Kind: left, ID: e.Conn.Peer().ID, Conn: p.number(e.Conn), Reason: reasonOf(e.Reason)})
		case tcpnet.Rejected:
			p.tell(event{Kind: rejected, ID: e.Peer.ID, Remote: e.Peer.Addr, Reason: reasonOf(e.Err), Text: e.Err.Error()})
		case tcpnet.NetworkChanged:
			p.tell(event{Kind: network})
		case tcpnet.Lagged:
			p.tell(event{Kind: lagged})
		}
	}
	select {} // until Shutdown has returned
}

type nodeProgram struct {
	chatty bool

	mu      sync.Mutex // guards what follows
	out     *json.Encoder
	numbers map[*tcpnet.Conn]int
}

func (p *nodeProgram) tell(e event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.Time = time.Now()
	p.out.Encode(e)
}

// number returns the number of a connection.
func (p *nodeProgram) number(c *tcpnet.Conn) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.numbers[c] == 0 {
		p.numbers[c] = len(p.numbers) + 1
	}
	return p.numbers[c]
}

// talk greets a peer and hears what it has to say.
func (p *nodeProgram) talk(c *tcpnet.Conn) {
	defer c.Close()
	fmt.Fprintf(c, "%s greets %s\n", c.LocalAddr(), c.Peer().ID)
	if p.chatty {
		go chat(c)
	}
	r := bufio.NewReader(c)
	line, err := r.ReadString('\n')
	if err == nil {
		p.tell(event{Kind: heard, ID: c.Peer().ID, Conn: p.number(c), Text: strings.TrimSpace(line)})
	}
	for err == nil {
		_, err = r.ReadByte()
	}
}

// chat writes a little all the time, until c ends.
func chat(c *tcpnet.Conn) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-c.Context().Done():
			return
		}
		if _, err := c.Write(make([]byte, 200)); err != nil {
			return
		}
	}
}

// obey does what it is told by lines of standard input.
func (p *nodeProgram) obey(node *tcpnet.Node) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if lines.Text() == "status" {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			st := node.Status()
			p.tell(event{Kind: status, Status: &st, Goroutines: runtime.NumGoroutine(), Heap: m.HeapAlloc})
		}
		var seconds int64
		if _, err := fmt.Sscanf(lines.Text(), "clock %d", &seconds); err == nil {
			shiftClock(seconds)
			p.tell(event{Kind: shifted})
		}
		var count int
		var id tcpnet.ID
		if _, err := fmt.Sscanf(lines.Text(), "stream %d %s", &count, &id); err == nil {
			go p.open(node, count, id)
		}
	}
}

func addrPort(a net.Addr) netip.AddrPort {
	ap, _ := netip.ParseAddrPort(a.String())
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
