package link

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"unicode/utf8"
)

// FrameType is the first byte of a frame (PROTOCOL.md section 4).
type FrameType uint8

// The frame types of PROTOCOL.md section 4.
const (
	FrameHello   FrameType = 0x01
	FrameCommit  FrameType = 0x02
	FrameReject  FrameType = 0x03
	FramePing    FrameType = 0x04
	FramePong    FrameType = 0x05
	FrameGoodbye FrameType = 0x06
	FrameClose   FrameType = 0x07
	FrameAsk     FrameType = 0x08
	FramePeers   FrameType = 0x09
	FrameDial    FrameType = 0x0A
	FrameNoDial  FrameType = 0x0B
	FrameHearsay FrameType = 0x0C
)

// The largest payloads (PROTOCOL.md section 4).
const (
	MaxPayloadBefore = 4096  // before the link is admitted
	MaxPayload       = 65536 // afterwards
)

const (
	headerLen = 4
	maxText   = 200 // of a REJECT, GOODBYE or NODIAL
)

// ErrProtocol is wrapped by every error about bytes that PROTOCOL.md does not allow.
var ErrProtocol = errors.New("not the tcpnet protocol")

// Kind is the last byte of the preface: what a socket is for (PROTOCOL.md section 3).
type Kind uint8

// The kinds of PROTOCOL.md section 3.
const (
	KindLink   Kind = 'L'
	KindConn   Kind = 'C'
	KindStream Kind = 'S'
)

// PrefaceLen is the length of the preface.
const PrefaceLen = 8

const prefaceMagic = "tcpnet\x01"

// AppendPreface appends the preface of a socket of this kind.
func AppendPreface(b []byte, k Kind) []byte {
	return append(append(b, prefaceMagic...), byte(k))
}

// ParsePreface returns the kind that a preface of PrefaceLen bytes names.
func ParsePreface(b []byte) (Kind, error) {
	if len(b) != PrefaceLen || string(b[:7]) != prefaceMagic {
		return 0, fmt.Errorf("%w: unknown first bytes %q", ErrProtocol, b)
	}
	switch k := Kind(b[7]); k {
	case KindLink, KindConn, KindStream:
		return k, nil
	default:
		return 0, fmt.Errorf("%w: unknown kind of socket %#x", ErrProtocol, b[7])
	}
}

// frameReader reads frames without trusting the lengths it is told.
type frameReader struct {
	r   *bufio.Reader
	buf []byte // reused by next
}

// next returns the next frame, with a payload of at most limit bytes, which is
// valid until the next call. The limit is read when the header is there: it may
// have been lifted meanwhile.
func (f *frameReader) next(limit *atomic.Int64) (FrameType, []byte, error) {
	var head [headerLen]byte
	for i := range head { // byte by byte: io.ReadFull would make head escape
		b, err := f.r.ReadByte()
		if err != nil {
			if err == io.EOF && i > 0 {
				err = io.ErrUnexpectedEOF
			}
			return 0, nil, err
		}
		head[i] = b
	}
	n := int(head[1])<<16 | int(head[2])<<8 | int(head[3])
	if most := int(limit.Load()); n > most {
		return FrameType(head[0]), nil, fmt.Errorf("%w: a frame of %d bytes, where %d are allowed", ErrProtocol, n, most)
	}
	// The buffer grows with the bytes that really arrive, not with n.
	f.buf = f.buf[:0]
	for len(f.buf) < n {
		if _, err := f.r.Peek(1); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return 0, nil, err
		}
		chunk, _ := f.r.Peek(min(f.r.Buffered(), n-len(f.buf)))
		f.buf = append(f.buf, chunk...)
		f.r.Discard(len(chunk))
	}
	payload := f.buf
	if cap(f.buf) > 4*readBuffer {
		f.buf = nil // one large frame must not cost its size for ever
	}
	return FrameType(head[0]), payload, nil
}

// beginFrame appends a header with room for the length, which endFrame fills in.
func beginFrame(b []byte, t FrameType) []byte { return append(b, byte(t), 0, 0, 0) }

// endFrame completes the frame that begins at start.
func endFrame(b []byte, start int) []byte {
	n := len(b) - start - headerLen
	b[start+1], b[start+2], b[start+3] = byte(n>>16), byte(n>>8), byte(n)
	return b
}

// Secret is what COMMIT gives a link's connections to make their tokens of.
type Secret [16]byte

// Commit is the payload of COMMIT (PROTOCOL.md section 5.2).
type Commit struct {
	Seq    uint64
	Secret Secret
}

// AppendCommit appends a COMMIT frame.
func AppendCommit(b []byte, c Commit) []byte {
	start := len(b)
	b = beginFrame(b, FrameCommit)
	b = binary.BigEndian.AppendUint64(b, c.Seq)
	b = append(b, c.Secret[:]...)
	return endFrame(b, start)
}

// ParseCommit reads the payload of COMMIT.
func ParseCommit(p []byte) (c Commit, err error) {
	if len(p) < 8+len(c.Secret) {
		return c, short(FrameCommit)
	}
	c.Seq = binary.BigEndian.Uint64(p)
	copy(c.Secret[:], p[8:])
	return c, nil
}

// Reject is the payload of REJECT (PROTOCOL.md section 4).
type Reject struct {
	Code       Code
	RetryAfter uint32 // ms
	Text       string
}

// AppendReject appends a REJECT frame.
func AppendReject(b []byte, r Reject) []byte {
	start := len(b)
	b = beginFrame(b, FrameReject)
	b = append(b, byte(r.Code))
	b = binary.BigEndian.AppendUint32(b, r.RetryAfter)
	b = append(b, clip(r.Text, maxText)...)
	return endFrame(b, start)
}

// ParseReject reads the payload of REJECT.
func ParseReject(p []byte) (r Reject, err error) {
	if len(p) < 5 {
		return r, short(FrameReject)
	}
	return Reject{Code(p[0]), binary.BigEndian.Uint32(p[1:]), text(p[5:], maxText)}, nil
}

// Goodbye is the payload of GOODBYE.
type Goodbye struct {
	Code Code
	Text string
}

// AppendGoodbye appends a GOODBYE frame.
func AppendGoodbye(b []byte, g Goodbye) []byte {
	start := len(b)
	b = beginFrame(b, FrameGoodbye)
	b = append(b, byte(g.Code))
	b = append(b, clip(g.Text, maxText)...)
	return endFrame(b, start)
}

// ParseGoodbye reads the payload of GOODBYE.
func ParseGoodbye(p []byte) (g Goodbye, err error) {
	if len(p) < 1 {
		return g, short(FrameGoodbye)
	}
	return Goodbye{Code(p[0]), text(p[1:], maxText)}, nil
}

// Digest sums up which nodes a node sees (PROTOCOL.md section 8).
type Digest struct {
	Count uint32
	Hash  uint64
}

const digestLen = 12

func (d Digest) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, d.Count)
	return binary.BigEndian.AppendUint64(b, d.Hash)
}

func parseDigest(p []byte) Digest {
	return Digest{binary.BigEndian.Uint32(p), binary.BigEndian.Uint64(p[4:])}
}

// Ping is the payload of PING and of PONG.
type Ping struct {
	Nonce  uint64
	Digest Digest
}

// AppendPing appends a PING or PONG frame.
func AppendPing(b []byte, t FrameType, p Ping) []byte {
	start := len(b)
	b = beginFrame(b, t)
	b = binary.BigEndian.AppendUint64(b, p.Nonce)
	b = p.Digest.append(b)
	return endFrame(b, start)
}

// ParsePing reads the payload of PING or PONG.
func ParsePing(p []byte) (Ping, error) {
	if len(p) < 8+digestLen {
		return Ping{}, short(FramePing)
	}
	return Ping{binary.BigEndian.Uint64(p), parseDigest(p[8:])}, nil
}

// AppendClose appends a CLOSE frame for the connection of this number.
func AppendClose(b []byte, number uint64) []byte {
	start := len(b)
	b = beginFrame(b, FrameClose)
	b = binary.BigEndian.AppendUint64(b, number)
	return endFrame(b, start)
}

// ParseClose reads the payload of CLOSE.
func ParseClose(p []byte) (number uint64, err error) {
	if len(p) < 8 {
		return 0, short(FrameClose)
	}
	return binary.BigEndian.Uint64(p), nil
}

// AppendAsk appends an ASK frame.
func AppendAsk(b []byte) []byte { return endFrame(beginFrame(b, FrameAsk), len(b)) }

func short(t FrameType) error {
	return fmt.Errorf("%w: frame of type %d is too short", ErrProtocol, t)
}

// clip shortens s to at most n bytes without cutting a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// text makes text of a stranger's bytes: at most n of them, valid and on one line.
func text(p []byte, n int) string {
	s := string(p[:min(len(p), n)])
	out := make([]rune, 0, len(s))
	for _, r := range s {
		if r < ' ' || r == 0x7f || (0x80 <= r && r < 0xa0) {
			r = ' '
		}
		out = append(out, r) // ranging turns bytes that are not UTF-8 into U+FFFD
	}
	return clip(string(out), n)
}
