package link

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

// read returns the frames of a stream and the error that ends it.
func read(r io.Reader, limit int64) (frames []string, err error) {
	var most atomic.Int64
	most.Store(limit)
	f := frameReader{r: bufio.NewReaderSize(r, readBuffer)}
	for {
		t, p, err := f.next(&most)
		if err != nil {
			return frames, err
		}
		frames = append(frames, string(append([]byte{byte(t)}, p...)))
	}
}

// frame returns a frame of a type that nobody knows.
func frame(n int) []byte {
	return append([]byte{0x77, byte(n >> 16), byte(n >> 8), byte(n)}, bytes.Repeat([]byte{'x'}, n)...)
}

func TestFramesArriveWholeHoweverTheyAreCut(t *testing.T) {
	var b []byte
	b = AppendPing(b, FramePing, Ping{7, Digest{2, 9}})
	b = append(b, frame(0)...)
	b = append(b, frame(MaxPayloadBefore)...)
	b = AppendAsk(b)
	for name, r := range map[string]io.Reader{
		"at once": bytes.NewReader(b), "byte by byte": iotest.OneByteReader(bytes.NewReader(b)),
		"with EOF": iotest.DataErrReader(bytes.NewReader(b)),
	} {
		frames, err := read(r, MaxPayloadBefore)
		if err != io.EOF || len(frames) != 4 {
			t.Fatalf("%s: %d frames, %v", name, len(frames), err)
		}
		if p, err := ParsePing([]byte(frames[0][1:])); err != nil || p != (Ping{7, Digest{2, 9}}) || frames[0][0] != byte(FramePing) {
			t.Errorf("%s: PING became %q", name, frames[0])
		}
		if frames[1] != "\x77" || len(frames[2]) != 1+MaxPayloadBefore || frames[3] != string(byte(FrameAsk)) {
			t.Errorf("%s: frames have changed on the way", name)
		}
	}
}

func TestFrameThatIsTooLongEndsTheLink(t *testing.T) {
	for _, limit := range []int{MaxPayloadBefore, MaxPayload} {
		if _, err := read(bytes.NewReader(frame(limit+1)), int64(limit)); !errors.Is(err, ErrProtocol) {
			t.Errorf("limit %d: %v", limit, err)
		}
		if fs, err := read(bytes.NewReader(frame(limit)), int64(limit)); err != io.EOF || len(fs) != 1 {
			t.Errorf("limit %d: %d frames, %v", limit, len(fs), err)
		}
	}
}

func TestStreamThatEndsWithinAFrame(t *testing.T) {
	b := frame(10)
	for n := 1; n < len(b); n++ {
		if _, err := read(bytes.NewReader(b[:n]), MaxPayload); err != io.ErrUnexpectedEOF {
			t.Errorf("%d bytes of a frame: %v", n, err)
		}
	}
}

// A length that a stranger has sent must not cost memory before the bytes come.
func TestNothingIsAllocatedForALength(t *testing.T) {
	b := frame(MaxPayload)[:100]
	n := testing.Benchmark(func(b2 *testing.B) {
		b2.ReportAllocs()
		for range b2.N {
			read(bytes.NewReader(b), MaxPayload)
		}
	}).AllocedBytesPerOp()
	if n > 8*readBuffer {
		t.Errorf("100 bytes of a frame said to have %d cost %d bytes", MaxPayload, n)
	}
}

func TestFramesRoundTrip(t *testing.T) {
	secret := Secret{1, 2, 3}
	if c, err := ParseCommit(AppendCommit(nil, Commit{1 << 60, secret})[headerLen:]); err != nil || c != (Commit{1 << 60, secret}) {
		t.Error(c, err)
	}
	if r, err := ParseReject(AppendReject(nil, Reject{CodeBusy, 250, "später"})[headerLen:]); err != nil || r != (Reject{CodeBusy, 250, "später"}) {
		t.Error(r, err)
	}
	if g, err := ParseGoodbye(AppendGoodbye(nil, Goodbye{CodeLeaving, "bye"})[headerLen:]); err != nil || g != (Goodbye{CodeLeaving, "bye"}) {
		t.Error(g, err)
	}
	if n, err := ParseClose(AppendClose(nil, 1<<63)[headerLen:]); err != nil || n != 1<<63 {
		t.Error(n, err)
	}
}

// Bytes behind the fields are ignored, missing ones are not.
func TestFramesMayGrowButNotShrink(t *testing.T) {
	for name, f := range map[string]struct {
		b     []byte
		least int
		parse func([]byte) error
	}{
		"COMMIT":  {AppendCommit(nil, Commit{}), 24, func(p []byte) error { _, err := ParseCommit(p); return err }},
		"REJECT":  {AppendReject(nil, Reject{}), 5, func(p []byte) error { _, err := ParseReject(p); return err }},
		"GOODBYE": {AppendGoodbye(nil, Goodbye{}), 1, func(p []byte) error { _, err := ParseGoodbye(p); return err }},
		"PING":    {AppendPing(nil, FramePing, Ping{}), 20, func(p []byte) error { _, err := ParsePing(p); return err }},
		"CLOSE":   {AppendClose(nil, 1), 8, func(p []byte) error { _, err := ParseClose(p); return err }},
	} {
		p := f.b[headerLen:]
		if len(p) != f.least {
			t.Errorf("%s has %d bytes, PROTOCOL.md says %d", name, len(p), f.least)
		}
		if err := f.parse(append(bytes.Clone(p), "more"...)); err != nil {
			t.Errorf("%s with more: %v", name, err)
		}
		for n := range p {
			if err := f.parse(p[:n]); !errors.Is(err, ErrProtocol) {
				t.Errorf("%d bytes of %s: %v", n, name, err)
			}
		}
	}
}

func TestTextOfStrangersIsTamed(t *testing.T) {
	long := strings.Repeat("ö", 300)
	g, err := ParseGoodbye(append([]byte{1}, "a\x1b[31m\nb\x85"+long...))
	if err != nil || strings.ContainsAny(g.Text, "\x1b\n") || !utf8.ValidString(g.Text) || len([]rune(g.Text)) > maxText {
		t.Errorf("%q, %v", g.Text, err)
	}
	if r, err := ParseReject(AppendReject(nil, Reject{Text: long})[headerLen:]); err != nil || len(r.Text) != maxText {
		t.Errorf("%d bytes of text, %v", len(r.Text), err)
	}
}

func TestPreface(t *testing.T) {
	for _, k := range []Kind{KindLink, KindConn, KindStream} {
		if got, err := ParsePreface(AppendPreface(nil, k)); err != nil || got != k {
			t.Error(got, err)
		}
	}
	for _, bad := range []string{"", "tcpnet\x01", "tcpnet\x02L", "tcpnet\x01X", "GET / HT", "tcpnet\x01LL"} {
		if _, err := ParsePreface([]byte(bad)); !errors.Is(err, ErrProtocol) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
