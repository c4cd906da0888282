package message_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"example.com/tcpnet/message"
)

func TestMessagesArriveWholeHoweverTheyAreCut(t *testing.T) {
	sizes := []int{0, 1, 127, 128, 4095, 4096, 4097, 70000, 0, 300000, 5}
	var wire bytes.Buffer
	var sent [][]byte
	for _, n := range sizes {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rand.Uint32())
		}
		sent = append(sent, b)
		if err := message.Write(&wire, b); err != nil {
			t.Fatal(err)
		}
	}
	for name, in := range map[string]io.Reader{
		"at once":      bytes.NewReader(wire.Bytes()),
		"byte by byte": iotest.OneByteReader(bytes.NewReader(wire.Bytes())),
		"with EOF":     iotest.DataErrReader(bytes.NewReader(wire.Bytes())),
		"in halves":    iotest.HalfReader(bytes.NewReader(wire.Bytes())),
	} {
		r := message.NewReader(in, 0)
		for i, want := range sent {
			if got, err := r.Next(); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%s: message %d of %d bytes became %d bytes, %v", name, i, len(want), len(got), err)
			}
		}
		for range 2 {
			if _, err := r.Next(); err != io.EOF {
				t.Errorf("%s: %v at the end", name, err)
			}
		}
	}
}

// The bytes are those of length-delimited Protocol Buffers.
func TestWireFormat(t *testing.T) {
	var wire bytes.Buffer
	message.Write(&wire, nil)
	message.Write(&wire, []byte("hi"))
	message.Write(&wire, bytes.Repeat([]byte{'x'}, 300))
	if want := "\x00\x02hi\xac\x02" + strings.Repeat("x", 300); wire.String() != want {
		t.Errorf("%q", wire.String())
	}
}

func TestWhatIsNoMessage(t *testing.T) {
	huge := binary.AppendUvarint(nil, 1<<32-1)
	for name, test := range map[string]struct {
		wire string
		max  int
		want error
	}{
		"cut in the length":          {"\x80", 0, io.ErrUnexpectedEOF},
		"cut in the message":         {"\x05abc", 0, io.ErrUnexpectedEOF},
		"cut before the message":     {"\x05", 0, io.ErrUnexpectedEOF},
		"one byte too many":          {"\x04abcd", 3, message.ErrTooLarge},
		"larger than the default":    {string(binary.AppendUvarint(nil, message.MaxSize+1)), 0, message.ErrTooLarge},
		"the largest that Write has": {string(huge), 0, message.ErrTooLarge},
		"more than 32 bits":          {"\x80\x80\x80\x80\x10", 0, message.ErrLength},
		"a length without end":       {"\xff\xff\xff\xff\xff\xff", 0, message.ErrLength},
		"a length in two spellings":  {"\x81\x00x", 0, message.ErrLength},
	} {
		r := message.NewReader(strings.NewReader("\x02ok"+test.wire+"\x02no"), test.max)
		if test.want == io.ErrUnexpectedEOF {
			r = message.NewReader(strings.NewReader("\x02ok"+test.wire), test.max)
		}
		if b, err := r.Next(); string(b) != "ok" || err != nil {
			t.Fatalf("%s: %q, %v", name, b, err)
		}
		for range 2 { // it is the end
			if b, err := r.Next(); !errors.Is(err, test.want) {
				t.Errorf("%s: %q, %v; want %v", name, b, err, test.want)
			}
		}
	}
}

// A length alone costs the reader nothing, however large.
func TestNoMemoryForWhatHasNotCome(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		r := message.NewReader(bytes.NewReader(append(binary.AppendUvarint(nil, 1<<30), "few"...)), 1<<31-1)
		if _, err := r.Next(); err != io.ErrUnexpectedEOF {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 100*72<<10 {
		t.Errorf("%d bytes for 100 lengths", got)
	}
}

func tcp(t testing.TB) (a, b net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if a, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// wrapped is a connection that Write does not know.
type wrapped struct{ net.Conn }

func TestMessagesOfSeveralGoroutinesDoNotMix(t *testing.T) {
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"plain": func(c net.Conn) net.Conn { return c }, "wrapped": func(c net.Conn) net.Conn { return wrapped{c} },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := tcp(t)
			var wg sync.WaitGroup
			for i := range 4 {
				wg.Go(func() {
					m := bytes.Repeat([]byte{byte(i)}, 100_000*i+1)
					for range 50 {
						if err := message.Write(wrap(a), m); err != nil {
							t.Error(err)
						}
					}
				})
			}
			r := message.NewReader(b, 0)
			for range 4 * 50 {
				m, err := r.Next()
				if err != nil {
					t.Fatal(err)
				}
				i := int(m[0])
				if len(m) != 100_000*i+1 || slices.ContainsFunc(m, func(c byte) bool { return c != m[0] }) {
					t.Fatalf("messages are mixed: %d bytes of %d", len(m), i)
				}
			}
			wg.Wait()
		})
	}
}

func TestADeadlineBetweenMessagesPasses(t *testing.T) {
	a, b := tcp(t)
	r := message.NewReader(b, 0)
	b.SetReadDeadline(time.Unix(1, 0))
	if _, err := r.Next(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	b.SetReadDeadline(time.Time{})
	message.Write(a, []byte("late"))
	if m, err := r.Next(); string(m) != "late" {
		t.Errorf("%q, %v", m, err)
	}
	// Inside of a message there is no way back.
	a.Write([]byte("\x05ab"))
	b.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	for range 2 {
		if _, err := r.Next(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		b.SetReadDeadline(time.Time{})
	}
}

// A stream that was reset between two messages has not ended well, however often it is
// asked.
func TestAResetBetweenMessagesStays(t *testing.T) {
	a, b := tcp(t)
	r := message.NewReader(b, 0)
	a.(*net.TCPConn).SetLinger(0)
	a.Close()
	for range 3 {
		if _, err := r.Next(); err == nil || err == io.EOF {
			t.Errorf("%v", err)
		}
	}
}

func TestJSON(t *testing.T) {
	type point struct{ X, Y int }
	var wire bytes.Buffer
	if err := message.WriteJSON(&wire, point{1, 2}); err != nil {
		t.Fatal(err)
	}
	if err := message.WriteJSON(&wire, func() {}); err == nil {
		t.Error("a function as JSON")
	}
	message.Write(&wire, []byte("{"))
	message.WriteJSON(&wire, point{3, 4})
	r := message.NewReader(&wire, 0)
	var p point
	if err := r.NextJSON(&p); err != nil || p != (point{1, 2}) {
		t.Errorf("%+v, %v", p, err)
	}
	if err := r.NextJSON(&p); err == nil {
		t.Error("half of a value")
	}
	if err := r.NextJSON(&p); err != nil || p != (point{3, 4}) { // the messages after it are whole
		t.Errorf("%+v, %v", p, err)
	}
	if err := r.NextJSON(&p); err != io.EOF {
		t.Error(err)
	}
}

// FuzzReader reads any bytes as messages, and writes them again.
func FuzzReader(f *testing.F) {
	f.Add([]byte("\x00\x02hi\x80\x01"+strings.Repeat("x", 128)), 1000)
	f.Add([]byte("\xff\xff\xff\xff\x0f"), 1<<31)
	f.Fuzz(func(t *testing.T, wire []byte, max int) {
		r := message.NewReader(bytes.NewReader(wire), max)
		if max <= 0 {
			max = message.MaxSize
		}
		var again bytes.Buffer
		for {
			m, err := r.Next()
			if err != nil {
				break
			}
			if len(m) > max {
				t.Fatalf("%d bytes, where %d are allowed", len(m), max)
			}
			message.Write(&again, m)
		}
		if !bytes.HasPrefix(wire, again.Bytes()) {
			t.Fatalf("%q became %q", wire, again.Bytes())
		}
	})
}

func BenchmarkMessages(b *testing.B) {
	for _, size := range []int{64, 64 << 10} {
		for name, wrap := range map[string]func(net.Conn) net.Conn{
			"plain": func(c net.Conn) net.Conn { return c }, "wrapped": func(c net.Conn) net.Conn { return wrapped{c} },
		} {
			b.Run(name+"/"+map[int]string{64: "64B", 64 << 10: "64KiB"}[size], func(b *testing.B) {
				x, y := tcp(b)
				x = wrap(x)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				m := make([]byte, size)
				done := make(chan struct{})
				go func() {
					defer close(done)
					r := message.NewReader(y, 0)
					for range b.N {
						if _, err := r.Next(); err != nil {
							b.Error(err)
							return
						}
					}
				}()
				for range b.N {
					if err := message.Write(x, m); err != nil {
						b.Fatal(err)
					}
				}
				<-done
			})
		}
	}
}
