// Package message cuts a connection into messages: each is sent with its length in
// front, and arrives whole.
//
//	message.Write(conn, []byte("hello"))     // one side
//
//	r := message.NewReader(conn, 0)          // the other
//	for {
//		b, err := r.Next()
//		if err != nil {
//			return err // io.EOF when the other side has closed its own
//		}
//		handle(b)
//	}
//
// WriteJSON and Reader.NextJSON send values as JSON. For Protocol Buffers, or any
// other encoding, send what it makes of a message:
//
//	b, err := proto.Marshal(m)
//	...
//	message.Write(conn, b)
//
//	b, err := r.Next()
//	...
//	err = proto.Unmarshal(b, m)
//
// On the wire a message is its length as an unsigned varint, as encoding/binary and
// Protocol Buffers write it, in at most 5 bytes, and then its bytes. It works over any
// byte stream, and what reads length-delimited Protocol Buffers reads this.
//
// For values of Go's alone [encoding/gob] needs none of this, nor do [encoding/json]
// and lines of text with [bufio.Scanner]: they find the ends of messages themselves.
// They bound the size of a message badly or not at all; this package does.
package message

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"sync"
)

// MaxSize is the largest message that a Reader takes if it is not told otherwise:
// 1 MiB.
const MaxSize = 1 << 20

// maxHeader is the most bytes that a length has.
const maxHeader = 5

// ErrTooLarge is wrapped by the errors of Next for a message that is larger than
// allowed, and of Write for one whose length does not fit into 32 bits.
var ErrTooLarge = errors.New("message: too large")

// ErrLength is wrapped by the error of Next for a length that no Write has sent: what
// is at the other end does not send messages.
var ErrLength = errors.New("message: not a length")

// Write writes one message to w, in one call of w's Write: several goroutines may send
// messages over one connection, if its Write may be called concurrently, and a short
// message is one packet. A message of up to 64 KiB is copied, into memory that is used
// again; a larger one is written to a TCP or Unix connection of package net without.
func Write(w io.Writer, b []byte) error {
	if uint64(len(b)) > math.MaxUint32 {
		return fmt.Errorf("%w: %d bytes", ErrTooLarge, len(b))
	}
	if len(b) > keep {
		switch w.(type) {
		case *net.TCPConn, *net.UnixConn:
			head := binary.AppendUvarint(nil, uint64(len(b)))
			_, err := (&net.Buffers{head, b}).WriteTo(w)
			return err
		}
	}
	whole := copies.Get().(*[]byte)
	*whole = append(binary.AppendUvarint((*whole)[:0], uint64(len(b))), b...)
	_, err := w.Write(*whole)
	if len(b) <= keep {
		copies.Put(whole)
	}
	return err
}

// copies has memory for Write: of *[]byte.
var copies = sync.Pool{New: func() any { return new([]byte) }}

// WriteJSON writes a value as one message of JSON.
func WriteJSON(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return Write(w, b)
}

// Reader reads messages. It is for one goroutine.
type Reader struct {
	r   *bufio.Reader
	max int
	buf []byte // reused by Next
	err error  // of Next, which is for ever
}

// Sizes of memory.
const (
	readAhead = 4 << 10  // bytes
	keep      = 64 << 10 // bytes that are kept for the next message
)

// NewReader returns a Reader of r's messages, of which none may be larger than max
// bytes; 0 means MaxSize. It reads ahead: r is to be read by it alone from now on.
func NewReader(r io.Reader, max int) *Reader {
	if max <= 0 {
		max = MaxSize
	}
	return &Reader{r: bufio.NewReaderSize(r, readAhead), max: max}
}

// Next returns the next message, which is valid until the next call. The error is
// io.EOF if the stream ends between two messages and io.ErrUnexpectedEOF if it ends in
// one; it wraps ErrTooLarge or ErrLength if the other side broke the rules, and is the
// stream's own otherwise. After an error, except for one of the stream's that passes,
// such as a deadline between two messages, all calls return it.
//
// Memory is taken as the bytes arrive, not for what the other side says will come.
func (r *Reader) Next() ([]byte, error) {
	if r.err != nil {
		return nil, r.err
	}
	if _, err := r.r.Peek(1); err != nil {
		if passing := net.Error(nil); !errors.As(err, &passing) || !passing.Timeout() {
			r.err = err // bufio.Reader forgets it, and a stream that was reset ends next
		}
		return nil, err
	}
	b, err := r.next()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	r.err = err
	return b, err
}

// next reads a message of which the first byte is there.
func (r *Reader) next() ([]byte, error) {
	size, err := r.length()
	if err != nil {
		return nil, err
	}
	if size > uint64(r.max) {
		return nil, fmt.Errorf("%w: %d bytes, where %d are allowed", ErrTooLarge, size, r.max)
	}
	if cap(r.buf) > keep {
		r.buf = nil // one large message must not cost its size for ever
	}
	r.buf = r.buf[:0]
	for n := int(size); len(r.buf) < n; {
		// As much again as has come so far, and never less than is kept.
		have := len(r.buf)
		r.buf = grown(r.buf, min(n, max(2*have, keep)))
		if _, err := io.ReadFull(r.r, r.buf[have:]); err != nil {
			return nil, err
		}
	}
	return r.buf, nil
}

// grown returns b with n bytes, of which those that b has not are anything.
func grown(b []byte, n int) []byte {
	if n <= cap(b) {
		return b[:n]
	}
	larger := make([]byte, n, max(n, min(2*cap(b), keep)))
	copy(larger, b)
	return larger
}

// length reads the length of a message, of which there is one spelling alone.
func (r *Reader) length() (size uint64, err error) {
	for i := range maxHeader {
		c, err := r.r.ReadByte()
		if err != nil {
			return 0, err
		}
		size |= uint64(c&0x7f) << (7 * i)
		switch {
		case c >= 0x80:
			continue
		case c == 0 && i > 0, size > math.MaxUint32:
			return 0, ErrLength
		}
		return size, nil
	}
	return 0, ErrLength
}

// NextJSON reads the next message, which is JSON, into v.
func (r *Reader) NextJSON(v any) error {
	b, err := r.Next()
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}
