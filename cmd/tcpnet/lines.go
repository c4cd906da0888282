package main

import (
	"bytes"
	"io"
)

// maxLine is how many bytes a line may have, not counting its end. A longer one is
// broken into several.
const maxLine = 1 << 20

// lineReader cuts a stream of any bytes into blocks of whole lines.
type lineReader struct {
	r     io.Reader
	max   int // bytes of a line
	buf   []byte
	start int // of what was not returned yet
	end   int
	clean int // buf[start:clean] has no end of a line
	err   error
}

func newLineReader(r io.Reader, max int) *lineReader {
	return &lineReader{r: r, max: max, buf: make([]byte, min(32<<10, max+1))}
}

// next waits for a line and returns it with all others that have arrived whole.
// The block is valid until the next call. It ends with '\n', unless it is the
// unfinished last line of the stream. broken tells that a line was too long and
// that this end was put into it.
func (l *lineReader) next() (block []byte, broken bool, err error) {
	for {
		if i := bytes.LastIndexByte(l.buf[l.clean:l.end], '\n'); i >= 0 {
			return l.take(l.clean + i + 1), false, nil
		}
		l.clean = l.end
		if l.end-l.start > l.max {
			piece := bytes.Clone(l.take(l.start + l.max))
			return append(piece, '\n'), true, nil
		}
		if l.err != nil {
			if l.start == l.end {
				return nil, false, l.err
			}
			return l.take(l.end), false, nil
		}
		l.fill()
	}
}

// take returns what there is before end.
func (l *lineReader) take(end int) []byte {
	block := l.buf[l.start:end]
	l.start = end
	l.clean = end
	return block
}

// fill reads once, into a larger buffer if there is no room.
func (l *lineReader) fill() {
	if l.start > 0 {
		copy(l.buf, l.buf[l.start:l.end])
		l.end -= l.start
		l.clean -= l.start
		l.start = 0
	}
	if l.end == len(l.buf) {
		bigger := make([]byte, min(2*len(l.buf), l.max+1))
		copy(bigger, l.buf)
		l.buf = bigger
	}
	n, err := l.r.Read(l.buf[l.end:])
	l.end += n
	l.err = err
}

// countLines returns how many lines a block has, an unfinished one included.
func countLines(block []byte) int {
	n := bytes.Count(block, []byte{'\n'})
	if len(block) > 0 && block[len(block)-1] != '\n' {
		n++
	}
	return n
}
