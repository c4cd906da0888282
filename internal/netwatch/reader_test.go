//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package netwatch

import (
	"io"
	"os"
	"syscall"
	"testing"
)

// messages is a socket that has a number of messages and errors to give.
type messages []any

func (m *messages) Read(b []byte) (int, error) {
	if len(*m) == 0 {
		return 0, io.EOF
	}
	next := (*m)[0]
	*m = (*m)[1:]
	if err, ok := next.(error); ok {
		return 0, &os.PathError{Op: "read", Path: "socket", Err: err}
	}
	return copy(b, next.(string)), nil
}

func TestRead(t *testing.T) {
	counts := func(b []byte) bool { return string(b) == "link" }
	for _, c := range []struct {
		name string
		in   messages
		want int
	}{
		{"what counts", messages{"link", "link"}, 2},
		{"what does not count", messages{"route", "route"}, 0},
		{"lost messages count", messages{syscall.ENOBUFS, "route"}, 1},
		{"an error is the end", messages{"link", syscall.EBADF, "link"}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			changes := make(chan struct{}, 10)
			read(&c.in, counts, changes)
			if len(changes) != c.want {
				t.Errorf("%d changes, want %d", len(changes), c.want)
			}
		})
	}
}
