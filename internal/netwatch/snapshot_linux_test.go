package netwatch

import "testing"

// Whatever comes over the socket, reading it ends and does not panic.
func FuzzNetlink(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, 64))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s snapshotter
		s.read(b, s.addLink)
		s.read(b, s.addAddr)
	})
}
