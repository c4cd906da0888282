package main

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"example.com/tcpnet"
	"example.com/tcpnet/bench/report"
)

// plan is what the source is to do.
type plan struct {
	port      int
	bytes     int64
	bareFirst bool
	private   bool // the bare connection is in crypto/tls
}

// send makes every transfer on both connections, in turn, and reports each.
// The mode splice comes last, because it ends the connection's outward half.
func send(ctx context.Context, node *tcpnet.Node, w *report.Writer, p plan) error {
	c, err := node.Accept(ctx)
	if err != nil {
		return err
	}
	w.Now(report.Connected, string(c.Peer().ID), "")
	bare, err := dialBare(ctx, c.RemoteAddr(), p.port)
	if err != nil {
		return err
	}
	mine, other := "tcpnet", "bare"
	if p.private {
		mine, other = "secret", "crypto/tls"
		if bare, err = encrypt(bare, tls.Client); err != nil {
			return err
		}
	}
	paths := []struct {
		name string
		conn conn
	}{{mine, c}, {other, bare}}
	if p.bareFirst {
		paths[0], paths[1] = paths[1], paths[0]
	}
	file, err := scratch(min(p.bytes, 256<<20))
	if err != nil {
		return err
	}
	for _, path := range paths { // lets the windows and buffers grow
		if _, err := transfer(path.conn, write, min(p.bytes, 128<<20), file); err != nil {
			return fmt.Errorf("%s: %w", path.name, err)
		}
	}
	for _, m := range []mode{write, sendfile, splice} {
		for _, path := range paths {
			o, err := transfer(path.conn, m, p.bytes, file)
			if err != nil {
				return fmt.Errorf("%s by %s: %w", path.name, m, err)
			}
			w.Now(report.Result, "", fmt.Sprintf("path=%s mode=%s mib=%d mbps=%.1f sourcereads=%d sinkreads=%d", path.name, m, p.bytes>>20, o.rate, o.sourceReads, o.sinkReads))
		}
	}
	w.Now(report.Result, "", "done=1")
	return nil
}

// dialBare connects to the sink's bare listener, at the host of addr.
func dialBare(ctx context.Context, addr net.Addr, port int) (conn, error) {
	host := *addr.(*net.TCPAddr)
	host.Port = port
	var d net.Dialer
	d.SetMultipathTCP(false)
	c, err := d.DialContext(ctx, "tcp", host.String())
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// outcome is what one transfer took.
type outcome struct {
	rate                   float64 // megabytes a second, until the sink said that it has all
	sourceReads, sinkReads int64   // read system calls
}

// transfer sends n bytes over c and waits for the sink's answer.
func transfer(c conn, m mode, n int64, file *os.File) (outcome, error) {
	before, err := readCalls()
	if err != nil {
		return outcome{}, err
	}
	began := time.Now()
	if err := (header{m, n}).send(c); err != nil {
		return outcome{}, err
	}
	if m == sendfile {
		err = sendFromFile(c, n, file)
	} else {
		err = sendByWrite(c, n)
	}
	if err == nil && m == splice {
		err = c.CloseWrite()
	}
	if err != nil {
		return outcome{}, err
	}
	var b [8]byte
	if _, err := io.ReadFull(c, b[:]); err != nil {
		return outcome{}, err
	}
	took := time.Since(began)
	after, err := readCalls()
	return outcome{float64(n) / 1e6 / took.Seconds(), after - before, int64(binary.BigEndian.Uint64(b[:]))}, err
}

// sendByWrite writes n bytes, a chunk at a time.
func sendByWrite(c conn, n int64) error {
	b := make([]byte, chunk)
	for n > 0 {
		k, err := c.Write(b[:min(n, chunk)])
		if err != nil {
			return err
		}
		n -= int64(k)
	}
	return nil
}

// sendFromFile sends the file, again and again, until n bytes have gone. The
// limit hides the file's own WriteTo, so that the connection's ReadFrom has to
// do it.
func sendFromFile(c conn, n int64, file *os.File) error {
	for n > 0 {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return err
		}
		k, err := io.Copy(c, io.LimitReader(file, n))
		if err != nil {
			return err
		}
		n -= k
	}
	return nil
}

// scratch returns a file of n bytes that exists in memory only.
func scratch(n int64) (*os.File, error) {
	fd, err := unix.MemfdCreate("scratch", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "scratch")
	return f, f.Truncate(n)
}
