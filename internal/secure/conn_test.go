package secure

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// pair returns the two ends of a private socket, and the dialler's under TLS.
func pair(t testing.TB) (d, a *Conn) {
	t.Helper()
	d, a = joined(t, guard(t, Options{ID: "D"}), guard(t, Options{ID: "A"}))
	d.SetDeadline(time.Time{})
	a.SetDeadline(time.Now().Add(patience))
	return d, a
}

func TestHalvesEndOneAfterTheOther(t *testing.T) {
	d, a := pair(t)
	io.WriteString(d, "question")
	if err := d.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(a); string(got) != "question" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	io.WriteString(a, "answer")
	a.Close()
	if got, err := io.ReadAll(d); string(got) != "answer" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	if _, err := d.Write([]byte("more")); err == nil {
		t.Error("written after the end")
	}
}

// A connection that is cut, also where nothing shows of it, is no end of the stream.
func TestACutIsNoEnd(t *testing.T) {
	for name, cut := range map[string]func(d *Conn){
		"between records": func(d *Conn) { d.NetConn().(*net.TCPConn).CloseWrite() },
		"in a record": func(d *Conn) {
			d.NetConn().Write([]byte{23, 3, 3, 0, 100, 1, 2, 3})
			d.NetConn().(*net.TCPConn).CloseWrite()
		},
		"by a forged end": func(d *Conn) { // the alert close notify, not encrypted
			d.NetConn().Write([]byte{RecordAlert, 3, 3, 0, 2, 1, 0})
			d.NetConn().(*net.TCPConn).CloseWrite()
		},
		"by bytes that are changed": func(d *Conn) {
			d.NetConn().Write(append([]byte{23, 3, 3, 0, 32}, random(32)...))
		},
		"by closing without a word": func(d *Conn) { d.Cut() },
	} {
		t.Run(name, func(t *testing.T) {
			d, a := pair(t)
			io.WriteString(d, "half of")
			cut(d)
			got, err := io.ReadAll(a)
			if string(got) != "half of" || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("read %q, %v", got, err)
			}
		})
	}
}

// fill writes to c until it has to wait, and returns when the writer has ended.
func fill(t *testing.T, c *Conn) (ended func() error) {
	t.Helper()
	done := make(chan error, 1)
	moving := make(chan struct{}, 1)
	go func() {
		for {
			if _, err := c.Write(make([]byte, 64<<10)); err != nil {
				done <- err
				return
			}
			select {
			case moving <- struct{}{}:
			default:
			}
		}
	}()
	for still := time.NewTimer(200 * time.Millisecond); ; {
		select {
		case <-moving:
			still.Reset(200 * time.Millisecond)
			continue
		case <-still.C:
		}
		break
	}
	return func() error { return <-done }
}

// Neither Close nor CloseWrite waits for a peer that does not read and a Write that
// waits for it.
func TestClosingDoesNotWaitForWriters(t *testing.T) {
	d, _ := pair(t)
	ended := fill(t, d)
	begin := time.Now()
	if err := d.CloseWrite(); err != nil {
		t.Error(err)
	}
	d.Close()
	if err := ended(); err == nil {
		t.Error("Write has not failed")
	}
	if took := time.Since(begin); took > farewell/2 {
		t.Errorf("it took %v", took)
	}
}

// What is being written when CloseWrite is called arrives, and then the end.
func TestCloseWriteComesAfterWhatIsBeingWritten(t *testing.T) {
	d, a := pair(t)
	const size = 16 << 20
	wrote := make(chan error, 1)
	begun := make(chan struct{})
	go func() {
		close(begun)
		_, err := d.Write(make([]byte, size))
		wrote <- err
	}()
	<-begun
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		d.mu.Lock()
		writing := d.writing
		d.mu.Unlock()
		if writing > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing is written")
		}
	}
	if err := d.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, a)
	if n != size || err != nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
}

// A socket that is full delays Close no longer than Hurry says.
func TestHurry(t *testing.T) {
	d, _ := pair(t)
	d.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	for {
		if _, err := d.NetConn().Write(make([]byte, 64<<10)); err != nil { // the socket is full
			break
		}
	}
	d.SetWriteDeadline(time.Time{})
	begin := time.Now()
	var closing sync.WaitGroup
	closing.Go(func() { d.CloseWrite() })
	d.Hurry(50 * time.Millisecond)
	d.Close()
	closing.Wait()
	if took := time.Since(begin); took > farewell/2 {
		t.Errorf("it took %v", took)
	}
}

func TestDeadlinesOfReadingPass(t *testing.T) {
	d, a := pair(t)
	a.SetReadDeadline(time.Now().Add(-time.Second))
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
	a.SetReadDeadline(time.Now().Add(patience))
	io.WriteString(d, "x")
	if n, err := a.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func TestOptionsOfTheSocketCanBeReached(t *testing.T) {
	d, _ := pair(t)
	raw, err := d.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(uintptr) {}); err != nil {
		t.Error(err)
	}
	for _, err := range []error{
		raw.Read(func(uintptr) bool { return true }),
		raw.Write(func(uintptr) bool { return true }),
	} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%v", err)
		}
	}
	if !strings.HasPrefix(d.RemoteAddr().String(), "127.0.0.1:") {
		t.Errorf("%v", d.RemoteAddr())
	}
}
