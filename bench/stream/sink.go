package main

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"example.com/tcpnet"
	"example.com/tcpnet/bench/report"
)

// receive serves transfers on one tcpnet connection and on one bare one, which is in
// crypto/tls if private.
func receive(ctx context.Context, node *tcpnet.Node, w *report.Writer, port int, private bool) error {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(ctx, "tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return err
	}
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		var bare conn = c.(*net.TCPConn)
		if private {
			if bare, err = encrypt(bare, tls.Server); err != nil {
				fmt.Fprintln(os.Stderr, "stream: sink:", err)
				return
			}
		}
		serve(bare)
	}()
	c, err := node.Accept(ctx)
	if err != nil {
		return err
	}
	w.Now(report.Connected, string(c.Peer().ID), "")
	go serve(c)
	return nil
}

// serve receives transfers until the connection ends.
func serve(c conn) {
	defer c.Close()
	for {
		h, err := readHeader(c)
		if err == nil {
			err = absorb(c, h)
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				fmt.Fprintln(os.Stderr, "stream: sink:", err)
			}
			return
		}
	}
}

// absorb receives one transfer and answers.
func absorb(c conn, h header) error {
	before, err := readCalls()
	if err != nil {
		return err
	}
	if h.mode == splice {
		err = discardBySplice(c, h.bytes)
	} else {
		err = discardByRead(c, h.bytes)
	}
	if err != nil {
		return err
	}
	after, err := readCalls()
	if err != nil {
		return err
	}
	_, err = c.Write(binary.BigEndian.AppendUint64(nil, uint64(after-before)))
	return err
}

// discardByRead reads n bytes, a chunk at a time.
func discardByRead(c conn, n int64) error {
	b := make([]byte, chunk)
	for n > 0 {
		k, err := c.Read(b[:min(n, chunk)])
		if err != nil {
			return err
		}
		n -= int64(k)
	}
	return nil
}

// discardBySplice copies what comes, to the end of the stream, to a file that
// keeps nothing.
func discardBySplice(c conn, n int64) error {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	got, err := io.Copy(null, c)
	if err == nil && got != n {
		err = fmt.Errorf("%d bytes arrived of %d", got, n)
	}
	return err
}
