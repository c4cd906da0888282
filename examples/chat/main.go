// Chat is a room for everybody whose program runs with the same name.
//
//	go run ./examples/chat -room kitchen -nick ann
//
// What you type goes to all. It uses the connection that every two nodes have, and
// sends messages of JSON over it.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"time"
	"unicode"

	"example.com/tcpnet"
	"example.com/tcpnet/message"
)

func main() {
	room := flag.String("room", "chat-example", "the room: the cluster's name")
	addr := flag.String("addr", ":0", "where to listen for other nodes")
	nick := flag.String("nick", "", "your name (default the host's)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	cfg := tcpnet.Config{Name: *room, Addr: *addr, Label: *nick}
	if secret, ok := os.LookupEnv("TCPNET_SECRET"); ok { // an empty one is an error of Join
		cfg.Secrets = [][]byte{[]byte(secret)}
	}
	if err := chat(ctx, cfg, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// line is what goes over the wire.
type line struct {
	Text string    `json:"text"`
	Sent time.Time `json:"sent"`
}

// maxLine is the most bytes that one message has.
const maxLine = 16 << 10

// chat takes part until in or ctx ends.
func chat(ctx context.Context, cfg tcpnet.Config, in io.Reader, out io.Writer) error {
	screen := &screen{out: out}
	cfg.Handler = func(c *tcpnet.Conn) { hear(c, screen) }
	node, err := tcpnet.Join(ctx, cfg)
	if err != nil {
		return err
	}
	defer node.Close()
	screen.show("you are in %q; what you type goes to all", cfg.Name)
	watching, stopWatching := context.WithCancel(context.Background())
	defer stopWatching()
	told := make(chan struct{})
	go func() {
		defer close(told)
		for e := range node.Events(watching) {
			switch e := e.(type) {
			case tcpnet.Joined:
				screen.show("* %s is here", e.Conn.Peer().Label)
			case tcpnet.Dropped:
				screen.show("* %s is too slow, and has missed something", e.Conn.Peer().Label)
			case tcpnet.Left:
				screen.show("* %s has left: %v", e.Conn.Peer().Label, e.Reason)
			case tcpnet.Rejected:
				screen.show("* %s at %v is kept out: %v", e.Peer.Label, e.Peer.Addr, e.Err)
			}
		}
	}()
	lines := make(chan string)
	go func() {
		defer close(lines)
		typed := bufio.NewScanner(in)
		typed.Buffer(nil, maxLine/2)
		for typed.Scan() {
			lines <- typed.Text()
		}
	}()
	for typing := true; typing; {
		select {
		case text, ok := <-lines:
			if typing = ok; ok {
				say(node, text)
			}
		case <-ctx.Done():
			typing = false
		}
	}
	// The others stay: that their connections to this node end now is no news of them.
	stopWatching()
	<-told
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err = node.Shutdown(ctx)
	screen.show("you have left %q", cfg.Name)
	return err
}

// say sends a line to everybody. Nobody is waited for: a peer that does not read
// misses what does not fit into its queue.
func say(node *tcpnet.Node, text string) {
	var whole bytes.Buffer
	message.WriteJSON(&whole, line{Text: text, Sent: time.Now()}) // to memory: it cannot fail
	node.Broadcast(whole.Bytes())
}

// hear shows what a peer says, until the connection ends.
func hear(c *tcpnet.Conn, s *screen) {
	defer c.Close()
	r := message.NewReader(c, maxLine)
	for {
		var l line
		if err := r.NextJSON(&l); err != nil {
			if errors.Is(err, message.ErrTooLarge) || errors.Is(err, message.ErrLength) {
				s.show("* %s does not speak our language", c.Peer().Label)
			}
			return
		}
		s.show("%s %s: %s", l.Sent.Local().Format("15:04"), c.Peer().Label, l.Text)
	}
}

// screen shows a line at a time.
type screen struct {
	mu  sync.Mutex // guards out
	out io.Writer
}

func (s *screen) show(format string, args ...any) {
	text := strings.Map(func(r rune) rune { // what others say does not command the terminal
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, fmt.Sprintf(format, args...))
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintln(s.out, text)
}
