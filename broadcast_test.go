package tcpnet_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/tcpnet"
)

// connected returns two nodes of a cluster and their connection. Nobody reads.
func connected(t testing.TB, queue tcpnet.Queue) (a, b *tcpnet.Node, ca, cb *tcpnet.Conn) {
	t.Helper()
	name := cluster()
	a = join(t, tcpnet.Config{Name: name, Queue: queue})
	b = join(t, tcpnet.Config{Name: name})
	return a, b, accept(t, a), accept(t, b)
}

// record returns a message that says who sent it, the how many-th that is, and how
// long it is, and whose other bytes say the same.
func record(sender byte, number uint32, size int) []byte {
	b := bytes.Repeat([]byte{sender ^ byte(number)}, max(size, 9))
	b[0] = sender
	binary.BigEndian.PutUint32(b[1:], number)
	binary.BigEndian.PutUint32(b[5:], uint32(len(b)))
	return b
}

// readRecord reads one.
func readRecord(r io.Reader) (sender byte, number uint32, err error) {
	var head [9]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, 0, err
	}
	sender, number = head[0], binary.BigEndian.Uint32(head[1:])
	size := binary.BigEndian.Uint32(head[5:])
	if size > 1<<24 {
		return 0, 0, fmt.Errorf("a record of %d bytes: something came in between", size)
	}
	rest := make([]byte, size-9)
	if _, err := io.ReadFull(r, rest); err != nil {
		return 0, 0, fmt.Errorf("record %d of %c: %w", number, sender, err)
	}
	if want := record(sender, number, int(size))[9:]; !bytes.Equal(rest, want) {
		return 0, 0, fmt.Errorf("record %d of %c is mixed with another", number, sender)
	}
	return sender, number, nil
}

func TestBroadcastReachesAll(t *testing.T) {
	name := cluster()
	a := join(t, tcpnet.Config{Name: name})
	const peers, messages = 3, 2000
	got := make(chan error, peers)
	for range peers {
		join(t, tcpnet.Config{Name: name, Handler: func(c *tcpnet.Conn) {
			if c.Peer().ID != a.ID() {
				return
			}
			r := bufio.NewReader(c)
			for i := range uint32(messages) {
				if _, number, err := readRecord(r); err != nil || number != i {
					got <- fmt.Errorf("message %d is %d, %v", i, number, err)
					return
				}
			}
			got <- nil
		}})
	}
	wait(t, a, peers)
	for i := range uint32(messages) {
		b := record('b', i, 9<<(i%12))
		d := a.Broadcast(b)
		clear(b)
		if d.Dropped > 0 || d.Sent+d.Queued != peers {
			t.Fatalf("message %d: %d sent, %d queued, %d dropped", i, d.Sent, d.Queued, d.Dropped)
		}
		for d.Backlog > 512<<10 {
			time.Sleep(time.Millisecond) // as a program does that has too much to say
			d = a.Broadcast(nil)
		}
	}
	for range peers {
		if err := <-got; err != nil {
			t.Error(err)
		}
	}
}

// Whatever writes to a connection, and however often, each call arrives in one piece.
func TestCallsAreNotMixed(t *testing.T) {
	a, _, ca, cb := connected(t, tcpnet.Queue{Size: 64 << 20})
	const each = 300
	writers := map[byte]func(b []byte) error{
		's': func(b []byte) error {
			if o := ca.Send(b); o == tcpnet.OutcomeDropped {
				return errors.New("Send: dropped")
			}
			return nil
		},
		'b': func(b []byte) error {
			if d := a.Broadcast(b); d.Dropped > 0 {
				return errors.New("Broadcast: dropped")
			}
			return nil
		},
		'w': func(b []byte) error { _, err := ca.Write(b); return err },
		'r': func(b []byte) error {
			_, err := ca.ReadFrom(io.MultiReader(bytes.NewReader(b[:9]), bytes.NewReader(b[9:])))
			return err
		},
	}
	var wg sync.WaitGroup
	for name, write := range writers {
		wg.Go(func() {
			for i := range uint32(each) {
				if err := write(record(name, i, 9<<(i%13))); err != nil {
					t.Errorf("%c: %v", name, err)
					return
				}
			}
		})
	}
	go func() {
		wg.Wait()
		ca.CloseWrite()
	}()
	next := make(map[byte]uint32)
	for r := bufio.NewReader(cb); ; {
		sender, number, err := readRecord(r)
		if err == io.EOF {
			break
		}
		if err != nil || number != next[sender] {
			t.Fatalf("record %d of %c where %d belongs, %v", number, sender, next[sender], err)
		}
		next[sender]++
	}
	for name := range writers {
		if next[name] != each {
			t.Errorf("%d records of %c", next[name], name)
		}
	}
}

func TestWriteGoesBehindWhatSendHasQueued(t *testing.T) {
	_, _, ca, cb := connected(t, tcpnet.Queue{})
	for i := range uint32(100) {
		ca.Send(record('s', 2*i, 5000))
		ca.Write(record('w', 2*i+1, 50))
	}
	for i := range uint32(200) {
		if _, number, err := readRecord(cb); err != nil || number != i {
			t.Fatalf("record %d where %d belongs, %v", number, i, err)
		}
	}
}

// fill sends to a peer that does not read until its queue is full, and returns how many
// messages that were.
func fill(t testing.TB, c *tcpnet.Conn, size int) uint32 {
	t.Helper()
	for i := range uint32(1 << 20) {
		if c.Send(record('s', i, size)) == tcpnet.OutcomeDropped {
			return i
		}
	}
	t.Fatal("the queue is never full")
	return 0
}

// stall sends to a peer that does not read until nothing moves any more: neither is
// there room in the queue, nor does the system take anything.
func stall(t testing.TB, c *tcpnet.Conn, size int) {
	t.Helper()
	for full := 0; full < 20; full++ {
		if fill(t, c, size) > 0 {
			full = 0
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestPeerThatDoesNotReadCostsTheOthersNothing(t *testing.T) {
	name := cluster()
	a := join(t, tcpnet.Config{Name: name})
	slow := join(t, tcpnet.Config{Name: name})
	accept(t, slow)
	accept(t, a)
	heard := make(chan uint32, 1<<16)
	join(t, tcpnet.Config{Name: name, Handler: func(c *tcpnet.Conn) {
		if c.Peer().ID != a.ID() {
			return
		}
		for r := bufio.NewReader(c); ; {
			_, number, err := readRecord(r)
			if err != nil {
				return
			}
			heard <- number
		}
	}})
	accept(t, a)
	es := events(t, a)
	lost := 0
	const messages = 600
	for i := range uint32(messages) {
		d := a.Broadcast(record('b', i, 64<<10))
		if d.Sent+d.Queued+d.Dropped != 2 {
			t.Fatalf("%+v", d)
		}
		for c, o := range d.Peers() {
			switch {
			case o != tcpnet.OutcomeDropped:
			case c.Peer().ID == slow.ID():
				lost++
			default:
				t.Errorf("message %d was dropped for the peer that reads", i)
			}
		}
		if number := <-heard; number != i {
			t.Fatalf("message %d where %d belongs", number, i)
		}
	}
	if lost == 0 {
		t.Fatal("a peer that does not read has taken everything")
	}
	if e := await[tcpnet.Dropped](t, es); e.Conn.Peer().ID != slow.ID() || e.Messages != 1 || e.Bytes != 64<<10 {
		t.Errorf("the first event: %d messages, %d bytes for %v", e.Messages, e.Bytes, e.Conn)
	}
	for _, p := range a.Status().Peers {
		if p.ID != slow.ID() {
			continue
		}
		s := p.Send
		if s.Dropped != uint64(lost) || s.Sent+s.Queued+s.Dropped != messages || s.QueuedBytes > 1<<20 || s.QueuedBytes < 1<<19 {
			t.Errorf("%d lost, but the status is %+v", lost, s)
		}
	}
}

func TestDropsAreToldTogether(t *testing.T) {
	a, _, ca, _ := connected(t, tcpnet.Queue{Size: 1 << 16})
	es := events(t, a)
	stall(t, ca, 1000)
	const more = 5000
	for range more {
		ca.Send(record('s', 0, 1000))
	}
	dropped := a.Status().Peers[0].Send.Dropped
	told := 0
	for sum := uint64(0); sum < dropped; told++ {
		sum += await[tcpnet.Dropped](t, es).Messages
	}
	if dropped < more/2 || told > 10 {
		t.Errorf("%d events for %d messages", told, dropped)
	}
}

func TestPolicies(t *testing.T) {
	const size = 10_000
	// read returns the numbers of what comes until the end.
	read := func(c *tcpnet.Conn) (numbers []uint32) {
		for r := bufio.NewReader(c); ; {
			_, number, err := readRecord(r)
			if err != nil {
				if err != io.EOF {
					t.Error(err)
				}
				return numbers
			}
			if n := len(numbers); n > 0 && number <= numbers[n-1] {
				t.Errorf("record %d after %d", number, numbers[n-1])
			}
			numbers = append(numbers, number)
		}
	}
	t.Run("newest", func(t *testing.T) {
		_, _, ca, cb := connected(t, tcpnet.Queue{Size: 200_000})
		n := fill(t, ca, size)
		ca.CloseWrite()
		if got := read(cb); uint32(len(got)) != n || got[n-1] != n-1 {
			t.Errorf("%d arrived of the %d before the first that was dropped", len(got), n)
		}
	})
	t.Run("oldest", func(t *testing.T) {
		_, _, ca, cb := connected(t, tcpnet.Queue{Size: 200_000, Full: tcpnet.DropOldest})
		const messages = 2000
		for i := range uint32(messages) {
			if ca.Send(record('s', i, size)) == tcpnet.OutcomeDropped {
				t.Fatalf("message %d was dropped", i)
			}
		}
		ca.CloseWrite()
		got := read(cb)
		if n := len(got); n == messages || got[n-1] != messages-1 {
			t.Errorf("%d arrived, the last is %d", n, got[n-1])
		}
	})
	t.Run("close", func(t *testing.T) {
		a, _, ca, _ := connected(t, tcpnet.Queue{Size: 200_000, Full: tcpnet.CloseSlow})
		es := events(t, a)
		fill(t, ca, size)
		if l := await[tcpnet.Left](t, es); l.Conn != ca || !errors.Is(l.Reason, tcpnet.ErrSlow) {
			t.Errorf("%+v", l)
		}
		if cause := context.Cause(ca.Context()); !errors.Is(cause, tcpnet.ErrSlow) {
			t.Errorf("cause %v", cause)
		}
		if j := await[tcpnet.Joined](t, es); j.Conn == ca {
			t.Error("the same connection again")
		}
	})
}

func TestMessageThatNeverFitsIsDropped(t *testing.T) {
	for _, full := range []tcpnet.Policy{tcpnet.DropNewest, tcpnet.DropOldest, tcpnet.CloseSlow} {
		_, _, ca, cb := connected(t, tcpnet.Queue{Size: 10_000, Full: full})
		if o := ca.Send(make([]byte, 10_000)); o != tcpnet.OutcomeDropped {
			t.Errorf("policy %d: %v", full, o)
		}
		ca.Send(record('s', 7, 5000))
		if _, number, err := readRecord(cb); number != 7 || err != nil {
			t.Errorf("policy %d: record %d, %v", full, number, err)
		}
	}
}

func TestEndOfStreamComesAfterWhatIsQueued(t *testing.T) {
	for name, end := range map[string]func(*tcpnet.Node, *tcpnet.Conn) error{
		"CloseWrite": func(_ *tcpnet.Node, c *tcpnet.Conn) error { return c.CloseWrite() },
		"Shutdown":   func(n *tcpnet.Node, _ *tcpnet.Conn) error { return n.Shutdown(context20(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			a, _, ca, cb := connected(t, tcpnet.Queue{Size: 32 << 20})
			const messages, size = 400, 64 << 10
			for i := range uint32(messages) {
				ca.Send(record('s', i, size))
			}
			if a.Status().Peers[0].Send.Queued == 0 {
				t.Fatal("nothing is queued")
			}
			done := make(chan error, 1)
			go func() { done <- end(a, ca) }()
			r := bufio.NewReader(cb)
			for i := range uint32(messages) {
				if _, number, err := readRecord(r); err != nil || number != i {
					t.Fatalf("record %d where %d belongs, %v", number, i, err)
				}
			}
			if _, err := r.ReadByte(); err != io.EOF {
				t.Errorf("then %v", err)
			}
			cb.Close()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if o := ca.Send([]byte("late")); o != tcpnet.OutcomeDropped {
				t.Errorf("sent after the end of the stream: %v", o)
			}
		})
	}
}

func TestCloseLetsAMessageGo(t *testing.T) {
	for name, end := range map[string]func(*tcpnet.Node, *tcpnet.Conn) error{
		"Conn": func(_ *tcpnet.Node, c *tcpnet.Conn) error { return c.Close() },
		"Node": func(n *tcpnet.Node, _ *tcpnet.Conn) error { return n.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			a, _, ca, cb := connected(t, tcpnet.Queue{})
			ca.Send([]byte("last words"))
			if err := end(a, ca); err != nil {
				t.Error(err)
			}
			if got, err := io.ReadAll(cb); string(got) != "last words" || err != nil {
				t.Errorf("read %q, %v", got, err)
			}
		})
	}
}

func TestCloseDoesNotWaitForAPeerThatDoesNotRead(t *testing.T) {
	a, _, ca, _ := connected(t, tcpnet.Queue{})
	stall(t, ca, 64<<10)
	es := events(t, a)
	begin := time.Now()
	if err := ca.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("Close took %v", took)
	}
	if e := await[tcpnet.Dropped](t, es); e.Messages < 10 {
		t.Errorf("told of %d messages that were lost", e.Messages)
	}
	if o := ca.Send([]byte("x")); o != tcpnet.OutcomeDropped {
		t.Errorf("sent on a closed connection: %v", o)
	}
	if _, err := ca.Write([]byte("x")); err == nil {
		t.Error("written on a closed connection")
	}
}

func TestShutdownGivesUpAPeerThatDoesNotRead(t *testing.T) {
	a, _, ca, _ := connected(t, tcpnet.Queue{})
	stall(t, ca, 64<<10)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := a.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
	}
}

// The deadline of writes holds for what is queued as well, and a message that it cuts
// is completed when there is another.
func TestQueueAndWriteDeadline(t *testing.T) {
	_, _, ca, cb := connected(t, tcpnet.Queue{Size: 32 << 20})
	const messages = 100
	for i := range uint32(messages) {
		ca.Send(record('s', i, 200_000))
	}
	ca.SetWriteDeadline(time.Now())
	if _, err := ca.Write(record('w', messages, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Write behind a queue that waits: %v", err)
	}
	ca.Send(record('s', messages, 10))
	ca.SetWriteDeadline(time.Time{})
	ca.CloseWrite()
	r := bufio.NewReader(cb)
	for i := range uint32(messages + 1) {
		if _, number, err := readRecord(r); err != nil || number != i {
			t.Fatalf("record %d where %d belongs, %v", number, i, err)
		}
	}
}

// A Write that waits for another call to finish heeds its deadline, and Close.
func TestWriteBehindReadFrom(t *testing.T) {
	_, _, ca, cb := connected(t, tcpnet.Queue{})
	src, feed := io.Pipe()
	copied := make(chan error, 1)
	go func() {
		_, err := ca.ReadFrom(src)
		copied <- err
	}()
	io.WriteString(feed, "first ")
	first := make([]byte, 6)
	io.ReadFull(cb, first)

	ca.Send([]byte("third"))
	ca.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := ca.Write([]byte("never")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Write: %v", err)
	}
	ca.SetWriteDeadline(time.Time{})
	io.WriteString(feed, "second ")
	feed.Close()
	if err := <-copied; err != nil {
		t.Error(err)
	}
	got := make([]byte, len("second third"))
	if _, err := io.ReadFull(cb, got); string(got) != "second third" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestWhatIsQueuedForAPeerThatGoesIsToldAsDropped(t *testing.T) {
	a, b, ca, _ := connected(t, tcpnet.Queue{Size: 32 << 20})
	es := events(t, a)
	for i := range uint32(400) {
		ca.Send(record('s', i, 64<<10))
	}
	b.Close()
	if e := await[tcpnet.Dropped](t, es); e.Conn != ca || e.Messages == 0 {
		t.Errorf("%+v", e)
	}
}

func TestSendAndCloseInAnyOrder(t *testing.T) {
	name := cluster()
	a := join(t, tcpnet.Config{Name: name})
	b := join(t, tcpnet.Config{Name: name, Handler: func(c *tcpnet.Conn) { io.Copy(io.Discard, c) }})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			msg := []byte(strings.Repeat("x", 6000))
			for {
				select {
				case <-stop:
					return
				default:
					a.Broadcast(msg)
					a.Broadcast(msg[:60])
				}
			}
		})
	}
	for range 5 {
		c := accept(t, a)
		c.SetWriteDeadline(time.Now().Add(time.Millisecond))
		c.Write([]byte("y"))
		c.CloseWrite()
		c.Close()
	}
	b.Close()
	a.Close()
	close(stop)
	wg.Wait()
	if d := a.Broadcast([]byte("z")); d.Sent+d.Queued > 0 {
		t.Errorf("sent by a closed node: %+v", d)
	}
}

func TestBroadcastInAPrivateCluster(t *testing.T) {
	name, secret := cluster(), make([]byte, 16)
	rand.Read(secret)
	a := join(t, tcpnet.Config{Name: name, Secrets: [][]byte{secret}, Queue: tcpnet.Queue{Size: 32 << 20}})
	b := join(t, tcpnet.Config{Name: name, Secrets: [][]byte{secret}})
	ca, cb := accept(t, a), accept(t, b)
	const messages = 1000
	for i := range uint32(messages) {
		a.Broadcast(record('b', i, 9<<(i%12)))
	}
	ca.CloseWrite()
	r := bufio.NewReader(cb)
	for i := range uint32(messages) {
		if _, number, err := readRecord(r); err != nil || number != i {
			t.Fatalf("record %d where %d belongs, %v", number, i, err)
		}
	}
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("then %v", err)
	}
}

// BenchmarkBroadcast sends to nine peers as fast as they read.
func BenchmarkBroadcast(b *testing.B) {
	for _, test := range []struct {
		name string
		size int
	}{{"64B", 64}, {"64KiB", 64 << 10}} {
		b.Run(test.name, func(b *testing.B) {
			name := cluster()
			a := join(b, tcpnet.Config{Name: name})
			for range 9 {
				join(b, tcpnet.Config{Name: name, Handler: func(c *tcpnet.Conn) { io.Copy(io.Discard, c) }})
			}
			wait(b, a, 9)
			msg := make([]byte, test.size)
			dropped := 0
			b.SetBytes(int64(9 * test.size))
			b.ReportAllocs()
			for b.Loop() {
				d := a.Broadcast(msg)
				dropped += d.Dropped
				for d.Backlog > 512<<10 {
					time.Sleep(50 * time.Microsecond)
					d = a.Broadcast(nil)
				}
			}
			b.ReportMetric(float64(dropped)/float64(b.N), "dropped/op")
		})
	}
}
