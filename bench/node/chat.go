package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/bench/report"
)

// chat is what a node does that has something to say: on every connection it sends
// numbered messages, and it reports what no program must ever see.
type chat struct {
	every time.Duration
	w     *report.Writer

	mu   sync.Mutex // guards what follows
	live map[tcpnet.ID]*tcpnet.Conn
}

func newChat(every time.Duration, w *report.Writer) *chat {
	return &chat{every: every, w: w, live: make(map[tcpnet.ID]*tcpnet.Conn)}
}

// handle talks on a connection until it ends.
func (ch *chat) handle(c *tcpnet.Conn) {
	peer := string(c.Peer().ID)
	ch.w.Now(report.Connected, peer, "")
	if !ch.enter(c) {
		ch.w.Now(report.Wrong, peer, "a second connection to one peer, while the first lives")
	}
	var talking sync.WaitGroup
	talking.Go(func() { ch.talk(c) })
	err := listen(c)
	if errors.Is(err, errWrong) {
		ch.w.Now(report.Wrong, peer, err.Error())
	}
	leave(c, ch.w, err)
	talking.Wait()
	ch.exit(c)
}

// enter makes c the connection to its peer, and reports whether the one before it
// had ended.
func (ch *chat) enter(c *tcpnet.Conn) bool {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	before := ch.live[c.Peer().ID]
	ch.live[c.Peer().ID] = c
	return before == nil || before.Context().Err() != nil
}

// exit forgets c, whose end has been reported.
func (ch *chat) exit(c *tcpnet.Conn) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.live[c.Peer().ID] == c {
		delete(ch.live, c.Peer().ID)
	}
}

// talk sends the numbers from 0 on, each in 8 bytes, until c ends.
func (ch *chat) talk(c *tcpnet.Conn) {
	tick := time.NewTicker(ch.every)
	defer tick.Stop()
	for number := uint64(0); ; number++ {
		if _, err := c.Write(binary.BigEndian.AppendUint64(nil, number)); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-c.Context().Done():
			return
		}
	}
}

var errWrong = errors.New("not what was sent")

// listen reads until c ends, and returns errWrong if what comes in is not what the
// other side's talk sends.
func listen(c io.Reader) error {
	var b [512]byte
	have, number := 0, uint64(0)
	for {
		n, err := c.Read(b[have:])
		have += n
		whole := have &^ 7
		for at := 0; at < whole; at += 8 {
			if got := binary.BigEndian.Uint64(b[at:]); got != number {
				return fmt.Errorf("%w: message %d came as %d", errWrong, number, got)
			}
			number++
		}
		copy(b[:], b[whole:have])
		have -= whole
		if err != nil {
			return err
		}
	}
}
