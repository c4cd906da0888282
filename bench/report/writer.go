package report

import (
	"io"
	"sync"
)

// Writer writes events, each with one Write. It is safe for concurrent use.
type Writer struct {
	mu  sync.Mutex // guards w and buf
	w   io.Writer
	buf []byte
}

// NewWriter returns a Writer to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write writes e. An error cannot be reported to anyone and is dropped: the
// harness has gone, and the end of standard input ends the program.
func (w *Writer) Write(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = e.Append(w.buf[:0])
	w.w.Write(w.buf)
}

// Now writes an event that happens at this moment.
func (w *Writer) Now(kind Kind, peer, text string) {
	w.Write(Event{Kind: kind, At: Now(), Peer: peer, Text: text})
}
