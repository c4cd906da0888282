package tcpnet_test

import (
	"errors"
	"io"
	"syscall"
	"testing"

	"example.com/tcpnet"
)

// ends returns the two ends of a connection.
func ends(t *testing.T) (a, b *tcpnet.Conn) {
	t.Helper()
	name := cluster()
	x, y := join(t, tcpnet.Config{Name: name}), join(t, tcpnet.Config{Name: name})
	return accept(t, x), accept(t, y)
}

// broken is somebody else's connection, that was reset.
type broken struct{}

func (broken) Read([]byte) (int, error)  { return 0, syscall.ECONNRESET }
func (broken) Write([]byte) (int, error) { return 0, syscall.ECONNRESET }

// alive checks that bytes go both ways.
func alive(t *testing.T, a, b *tcpnet.Conn) {
	t.Helper()
	for _, way := range [][2]*tcpnet.Conn{{a, b}, {b, a}} {
		if _, err := io.WriteString(way[0], "x"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(way[1], make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(a.Context().Err(), b.Context().Err()); err != nil {
		t.Error(err)
	}
}

// A program that copies between a connection and something else, which breaks, keeps
// the connection.
func TestAnotherSocketsErrorIsNotTheConnections(t *testing.T) {
	a, b := ends(t)
	io.WriteString(b, "lost")
	if _, err := io.Copy(broken{}, a); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("copied to what is broken: %v", err)
	}
	if _, err := io.Copy(a, broken{}); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("copied from what is broken: %v", err)
	}
	alive(t, a, b)
}

// Who writes after CloseWrite gets an error, and the other half of the connection
// stays.
func TestWriteAfterCloseWrite(t *testing.T) {
	a, b := ends(t)
	if err := a.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Write([]byte("too late")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("written: %v", err)
	}
	if n, err := b.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("read %d bytes, %v", n, err)
	}
	io.WriteString(b, "still")
	if _, err := io.ReadFull(a, make([]byte, 5)); err != nil {
		t.Error(err)
	}
	if err := errors.Join(a.Context().Err(), b.Context().Err()); err != nil {
		t.Error(err)
	}
}
