package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"

	"example.com/tcpnet"
)

// conn is what both kinds of connection can do: the methods by which io.Copy
// reaches sendfile and splice, and half-close.
type conn interface {
	net.Conn
	io.ReaderFrom
	io.WriterTo
	CloseWrite() error
}

var (
	_ conn = (*net.TCPConn)(nil)
	_ conn = (*tcpnet.Conn)(nil)
)

// mode is one way to move bytes.
type mode byte

const (
	write    mode = 'w' // 64 KiB writes, 64 KiB reads
	sendfile mode = 'f' // the source copies from a file to the connection: ReadFrom
	splice   mode = 's' // the sink copies from the connection to a file: WriteTo
)

func (m mode) String() string {
	return map[mode]string{write: "write", sendfile: "sendfile", splice: "splice"}[m]
}

// header opens a transfer: its mode and its length. The sink answers with eight
// bytes when all has arrived: how many read system calls it took.
type header struct {
	mode  mode
	bytes int64
}

func (h header) send(c conn) error {
	var b [9]byte
	b[0] = byte(h.mode)
	binary.BigEndian.PutUint64(b[1:], uint64(h.bytes))
	_, err := c.Write(b[:])
	return err
}

func readHeader(c conn) (header, error) {
	var b [9]byte
	_, err := io.ReadFull(c, b[:])
	return header{mode(b[0]), int64(binary.BigEndian.Uint64(b[1:]))}, err
}

// chunk is how much one write and one read move.
const chunk = 64 << 10

// readCalls returns how many read system calls this process has made. Splice is
// not among them, and one sendfile counts once however much it moves.
func readCalls() (int64, error) {
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0, err
	}
	_, after, found := strings.Cut(string(b), "syscr: ")
	count, _, _ := strings.Cut(after, "\n")
	if !found {
		return 0, fmt.Errorf("no syscr in /proc/self/io")
	}
	return strconv.ParseInt(count, 10, 64)
}
