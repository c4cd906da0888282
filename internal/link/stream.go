package link

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"unicode/utf8"
)

// MaxService is the most bytes that the name of a service has (PROTOCOL.md section 12).
const MaxService = 255

// CheckService returns an error if service is no name that a service can have.
func CheckService(service string) error {
	switch {
	case service == "":
		return fmt.Errorf("the name of the service is empty")
	case len(service) > MaxService:
		return fmt.Errorf("the name of the service has %d bytes, at most %d are possible", len(service), MaxService)
	case !utf8.ValidString(service):
		return fmt.Errorf("the name of the service is not valid UTF-8")
	}
	return nil
}

// StreamMode says which side of a stream's socket has dialled it (PROTOCOL.md
// section 12.1).
type StreamMode byte

// The modes of PROTOCOL.md section 12.1.
const (
	StreamOpen StreamMode = 'O' // the opener
	StreamBack StreamMode = 'B' // the other side, which was asked to
)

// Nonce makes each attempt to open a stream, and the challenge to it, unlike all
// others.
type Nonce [16]byte

// NewNonce returns a random Nonce.
func NewNonce() (n Nonce) {
	rand.Read(n[:]) // never fails
	return n
}

// Proof shows that its sender knows the secret of a link.
type Proof [16]byte

// Equal compares in a time that tells nothing.
func (p Proof) Equal(q Proof) bool { return hmac.Equal(p[:], q[:]) }

// proof returns the proof of the given text.
func (s Secret) proof(text []byte) (p Proof) {
	m := hmac.New(sha256.New, s[:])
	m.Write(text)
	copy(p[:], m.Sum(nil))
	return p
}

// StreamRequest is what the dialler of a stream's socket sends first.
type StreamRequest struct {
	Mode    StreamMode
	From    ID // the dialler
	To      ID // whom it means to reach
	Nonce   Nonce
	Service string
	Proof   Proof
}

const streamHeaderLen = 4 + len(Nonce{})

// Prove returns the proof of the request under the secret of a link. dialled says
// whether the sender of the request has dialled that link.
func (r *StreamRequest) Prove(s Secret, dialled bool) Proof {
	side := byte(2)
	if dialled {
		side = 1
	}
	text := append([]byte("tcpnet stream"), side, byte(r.Mode))
	text = append(text, r.Nonce[:]...)
	return s.proof(append(text, r.Service...))
}

// AppendStreamRequest appends a request.
func AppendStreamRequest(b []byte, r *StreamRequest) []byte {
	b = append(b, byte(r.Mode), byte(len(r.From)), byte(len(r.To)), byte(len(r.Service)))
	b = append(b, r.Nonce[:]...)
	b = append(b, r.From...)
	b = append(b, r.To...)
	b = append(b, r.Service...)
	return append(b, r.Proof[:]...)
}

// ReadStreamRequest reads a request, and nothing behind it.
func ReadStreamRequest(in io.Reader) (*StreamRequest, error) {
	var head [streamHeaderLen]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, cutShort(err)
	}
	r := &StreamRequest{Mode: StreamMode(head[0]), Nonce: Nonce(head[4:])}
	from, to, service := int(head[1]), int(head[2]), int(head[3])
	switch {
	case r.Mode != StreamOpen && r.Mode != StreamBack:
		return nil, fmt.Errorf("%w: unknown mode %#x of a stream", ErrProtocol, head[0])
	case from == 0 || from > MaxIDLen || to == 0 || to > MaxIDLen || service == 0:
		return nil, fmt.Errorf("%w: a stream's request with bad lengths", ErrProtocol)
	}
	rest := make([]byte, from+to+service+len(r.Proof)) // 527 bytes at most
	if _, err := io.ReadFull(in, rest); err != nil {
		return nil, cutShort(err)
	}
	var err error
	if r.From, err = ParseID(string(rest[:from])); err == nil {
		r.To, err = ParseID(string(rest[from : from+to]))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: a stream's request: %w", ErrProtocol, err)
	}
	r.Service = string(rest[from+to : from+to+service])
	if !utf8.ValidString(r.Service) {
		return nil, fmt.Errorf("%w: a stream's request for a service that is not text", ErrProtocol)
	}
	r.Proof = Proof(rest[from+to+service:])
	return r, nil
}

// cutShort makes an end inside of something what it is.
func cutShort(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// ProveAnswer returns the proof in an acceptor's answer.
func (s Secret) ProveAnswer(nonce, challenge Nonce) Proof {
	return s.proof(append(append([]byte("tcpnet stream answer"), nonce[:]...), challenge[:]...))
}

// ProveGo returns the proof that is the dialler's last word.
func (s Secret) ProveGo(nonce, challenge Nonce) Proof {
	return s.proof(append(append([]byte("tcpnet stream go"), nonce[:]...), challenge[:]...))
}

// DialBack is the payload of DIAL (PROTOCOL.md section 12.2).
type DialBack struct {
	Nonce   Nonce
	Service string
}

// AppendDial appends a DIAL frame.
func AppendDial(b []byte, d DialBack) []byte {
	start := len(b)
	b = beginFrame(b, FrameDial)
	b = append(b, d.Nonce[:]...)
	b = append(b, byte(len(d.Service)))
	b = append(b, d.Service...)
	return endFrame(b, start)
}

// ParseDial reads the payload of DIAL.
func ParseDial(p []byte) (d DialBack, err error) {
	if len(p) < len(d.Nonce)+1 {
		return d, short(FrameDial)
	}
	copy(d.Nonce[:], p)
	p = p[len(d.Nonce):]
	if n := int(p[0]); len(p) >= 1+n {
		d.Service = string(p[1 : 1+n])
	}
	if err := CheckService(d.Service); err != nil {
		return d, fmt.Errorf("%w: DIAL: %w", ErrProtocol, err)
	}
	return d, nil
}

// NoDial is the payload of NODIAL (PROTOCOL.md section 12.2).
type NoDial struct {
	Nonce Nonce
	Code  Code
	Text  string
}

// AppendNoDial appends a NODIAL frame.
func AppendNoDial(b []byte, n NoDial) []byte {
	start := len(b)
	b = beginFrame(b, FrameNoDial)
	b = append(b, n.Nonce[:]...)
	b = append(b, byte(n.Code))
	b = append(b, clip(n.Text, maxText)...)
	return endFrame(b, start)
}

// ParseNoDial reads the payload of NODIAL.
func ParseNoDial(p []byte) (n NoDial, err error) {
	if len(p) < len(n.Nonce)+1 {
		return n, short(FrameNoDial)
	}
	copy(n.Nonce[:], p)
	p = p[len(n.Nonce):]
	return NoDial{n.Nonce, Code(p[0]), text(p[1:], maxText)}, nil
}
