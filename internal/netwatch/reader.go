//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package netwatch

import (
	"errors"
	"io"
	"sync"
	"syscall"
)

// read reports on changes each message from r that counts, until r is closed
// or fails. A reader whose messages were lost for want of buffer space says so
// with ENOBUFS, which counts as a message.
func read(r io.Reader, counts func(message []byte) bool, changes chan<- struct{}) {
	buf := make([]byte, 4096) // longer messages are cut: their beginning will do
	for {
		n, err := r.Read(buf)
		if err != nil && !errors.Is(err, syscall.ENOBUFS) {
			return
		}
		if err != nil || counts(buf[:n]) {
			select {
			case changes <- struct{}{}:
			default: // there is one that was not received yet
			}
		}
	}
}

// reading starts to read notifications from a socket that has a poller, so
// that closing it ends the read.
func reading(socket io.ReadCloser, counts func(message []byte) bool) (changes <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	var done sync.WaitGroup
	done.Go(func() {
		defer close(c)
		read(socket, counts, c)
	})
	return c, func() {
		socket.Close()
		done.Wait()
	}
}
