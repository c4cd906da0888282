package main

import (
	"bytes"
	"io"
	"sync"
)

// output prints what peers send, whole lines at a time.
type output struct {
	prefix bool // show from whom each line is
	escape bool // it is a terminal

	mu   sync.Mutex // guards what follows
	w    io.Writer
	open bool // the last line has no end
	text []byte
}

// write prints a block of lines of one peer. The end that an unfinished line lacks
// is added when another line follows, so that lines of two peers never mix and a
// single peer's bytes are left as they are.
func (o *output) write(from string, block []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open {
		o.open = false
		if _, err := o.w.Write([]byte{'\n'}); err != nil {
			return err
		}
	}
	if o.prefix || o.escape {
		o.text = o.text[:0]
		for line := range bytes.Lines(block) {
			line = bytes.TrimSuffix(line, []byte{'\n'})
			if o.prefix {
				o.text = append(append(o.text, from...), ": "...)
			}
			if o.escape {
				o.text = appendEscaped(o.text, line)
			} else {
				o.text = append(o.text, line...)
			}
			o.text = append(o.text, '\n')
		}
		_, err := o.w.Write(o.text)
		if cap(o.text) > 8*maxLine {
			o.text = nil
		}
		return err
	}
	_, err := o.w.Write(block)
	o.open = err == nil && block[len(block)-1] != '\n'
	return err
}
