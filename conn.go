package tcpnet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"example.com/tcpnet/internal/mesh"
)

// PeerInfo describes a peer.
type PeerInfo struct {
	ID      ID                `json:"id"`
	Label   string            `json:"label,omitempty"`
	Addr    netip.AddrPort    `json:"addr"`           // the other end of the socket
	Meta    map[string]string `json:"meta,omitempty"` // its Config.Meta
	Version int               `json:"version"`        // of the protocol spoken with it

	// TLS is what is known of the encryption and of the peer's certificate; nil in
	// an open cluster. It is not to be changed.
	TLS *tls.ConnectionState `json:"-"`
}

// private reports whether what is said to the peer runs in TLS.
func (p *PeerInfo) private() bool { return p.TLS != nil }

// Conn is a connection to a peer: a TCP socket that carries nothing but the bytes
// of the two programs, in TLS if the cluster is private (Config.Secrets, Config.TLS).
//
// It ends when either program closes it, when the peer leaves or is lost, or when
// the node is closed; Context tells. What the peer had sent before can still be
// read then, and a peer that leaves in good order reads an answer. The socket is closed
// by Close, or by the node when it was not used for a while after the end: for 5 minutes
// if there is something to read (on Linux), for 5 seconds if not. A program that has no
// use for a connection need not touch it, and keeps no peer waiting that leaves: the
// writing half of one that was never read is ended a quarter of a second after that, or,
// in a private cluster and on other systems, with the connection.
type Conn struct {
	raw    net.Conn
	node   *Node
	peer   PeerInfo
	link   *mesh.Connection
	ctx    context.Context
	cancel context.CancelCauseFunc
	out    sender

	read, written tally

	ended    atomic.Bool   // ctx is done
	ending   atomic.Bool   // the peer's end of the stream was read
	cut      atomic.Bool   // the stream has ended without one, in a private cluster
	failing  atomic.Bool   // an error has ended it, which waits for its cause
	reads    atomic.Uint64 // calls of Read since then
	reading  atomic.Int32  // calls of WriteTo under way
	writing  atomic.Int32  // calls of Write and ReadFrom under way
	used     atomic.Bool   // the program reads it, or has taken the socket
	short    atomic.Bool   // it was lost with bytes under way to the peer
	allRead  atomic.Bool   // the node has closed it, when all was read but the end
	finished chan struct{} // closed when the peer's end of the stream was read, or by Close
	finish   sync.Once
	closing  atomic.Bool
	linger   *time.Timer // guarded by node.mu
	verdict  *time.Timer // guarded by node.mu: until the cause of the end is known
}

// verdictTime is how long an end of the stream is left unexplained, so that the
// link can tell that the peer's process has ended.
const verdictTime = 50 * time.Millisecond

var _ interface {
	net.Conn
	io.ReaderFrom
	io.WriterTo
	syscall.Conn
} = (*Conn)(nil)

// Node returns the node that the connection is of. A Handler may run before Join has
// returned that to the program.
func (c *Conn) Node() *Node { return c.node }

// Peer describes the node at the other end.
func (c *Conn) Peer() PeerInfo {
	p := c.peer
	p.Meta = maps.Clone(p.Meta)
	return p
}

// Context ends with the connection. Its cause ([context.Cause]) says why: ErrLeft,
// ErrTimeout, ErrRestarted, ErrReset, ErrReplaced, ErrSlow or ErrClosed, perhaps
// wrapped.
func (c *Conn) Context() context.Context { return c.ctx }

// RTT returns the smoothed round-trip time to the peer's node, measured beside the
// connection, or 0 before the first measurement.
func (c *Conn) RTT() time.Duration { return c.link.RTT() }

// Read reads what the peer has written. After the peer's end of the stream it
// returns io.EOF, and when the peer was lost, an error that wraps the cause, or the
// socket's own if that comes before the cause is known. In a private cluster a
// connection that was cut, by whomever, is never taken for an end: the error wraps
// io.ErrUnexpectedEOF.
func (c *Conn) Read(b []byte) (int, error) {
	set(&c.used)
	if c.ended.Load() {
		c.reads.Add(1)
	}
	n, err := c.raw.Read(b)
	c.read.n.Add(uint64(n))
	if err != nil {
		err = c.readFailed(err)
	}
	return n, err
}

// WriteTo writes all that the peer writes to w, without a copy where the system
// can (see [net.TCPConn.WriteTo]), except in a private cluster.
func (c *Conn) WriteTo(w io.Writer) (n int64, err error) {
	set(&c.used)
	c.reading.Add(1)
	defer c.reading.Add(-1)
	in := &source{Reader: c.raw, n: &c.read.n, err: io.EOF}
	if t, ok := c.raw.(*net.TCPConn); ok && systemTells && c.read.begin(factsOf(c.raw).taken()) {
		n, err = t.WriteTo(w)
		c.read.end(uint64(n))
	} else {
		n, err = io.Copy(w, in)
	}
	switch {
	case err == nil || in.err != io.EOF:
		if err = c.readFailed(in.err); err == io.EOF {
			err = nil
		}
	default:
		c.suspect("read", err)
		err = c.because("read", err)
	}
	return n, err
}

// set sets b, which mostly is set already.
func set(b *atomic.Bool) {
	if !b.Load() {
		b.Store(true)
	}
}

// suspect ends the connection if the error of a copy is that of its socket. It may be
// that of the copy's other end, and says nothing of this connection then. op is what the
// copy does with this socket.
func (c *Conn) suspect(op string, err error) {
	if f := factsOf(c.raw); f.known {
		if f.Closed && !c.out.over() {
			c.failed(syscall.ECONNRESET)
		}
		return
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		if o, ok := e.(*net.OpError); ok && o.Op == op && o.Source != nil && o.Source.String() == c.raw.LocalAddr().String() {
			c.failed(err)
			return
		}
	}
}

// readFailed says what an error of the socket's means.
func (c *Conn) readFailed(err error) error {
	if errors.Is(err, net.ErrClosed) && c.allRead.Load() {
		return io.EOF
	}
	cause := context.Cause(c.ctx)
	switch {
	case err == io.EOF:
		c.ending.Store(true)
		c.finish.Do(func() { close(c.finished) })
		if cause != nil && abrupt(cause) {
			return fmt.Errorf("tcpnet: read: %w", cause)
		}
		return err
	case errors.Is(err, io.ErrUnexpectedEOF): // in a private cluster
		c.ending.Store(true)
		c.cut.Store(true)
		c.finish.Do(func() { close(c.finished) })
		if cause == nil {
			c.node.endLater(c, ErrReset) // unless the link knows better
			cause = ErrReset
		}
		return fmt.Errorf("tcpnet: read: %w (%w)", cause, err)
	}
	c.failed(err)
	if cause != nil && isLoss(err) {
		return fmt.Errorf("tcpnet: read: %w (%w)", cause, err)
	}
	return err
}

// Write writes to the peer. It returns when the system has taken the bytes. In a
// private cluster no Write succeeds after one that has failed, also by a deadline.
func (c *Conn) Write(b []byte) (int, error) {
	c.writing.Add(1)
	defer c.writing.Add(-1)
	if err := c.begin(); err != nil {
		return 0, err
	}
	defer c.out.turn.give()
	n, err := c.raw.Write(b)
	c.written.n.Add(uint64(n))
	if err != nil {
		c.failed(err)
		err = c.because("write", err)
	}
	return n, err
}

// lost returns an error if the connection has ended because nobody is at the other
// end any more.
func (c *Conn) lost(op string) error {
	if cause := context.Cause(c.ctx); cause != nil && abrupt(cause) {
		return fmt.Errorf("tcpnet: %s: %w", op, cause)
	}
	return nil
}

// because returns why the connection is lost, if it is, and otherwise err.
func (c *Conn) because(op string, err error) error {
	if lost := c.lost(op); lost != nil {
		return lost
	}
	return err
}

// ReadFrom writes all of r to the peer, without a copy where the system can (see
// [net.TCPConn.ReadFrom]), except in a private cluster. Nothing else is written until
// it returns.
func (c *Conn) ReadFrom(r io.Reader) (n int64, err error) {
	c.writing.Add(1)
	defer c.writing.Add(-1)
	if err := c.begin(); err != nil {
		return 0, err
	}
	defer c.out.turn.give()
	if t, ok := c.raw.(io.ReaderFrom); ok {
		c.written.begin(factsOf(c.raw).given())
		n, err = t.ReadFrom(r)
		c.written.end(uint64(n))
	} else {
		n, err = io.Copy(drain{c.raw, &c.written.n}, r)
	}
	if err != nil {
		c.suspect("write", err)
	}
	if errors.As(err, new(*net.OpError)) { // which may be r's, and says nothing then
		err = c.because("write", err)
	}
	return n, err
}

// begin takes the turn for a call that writes.
func (c *Conn) begin() error {
	if err := c.out.begin(); err != nil {
		return c.because("write", err)
	}
	// A deadline that the program has set since then has taken the place of the one
	// that abandon has set.
	if c.ended.Load() {
		if err := c.lost("write"); err != nil {
			c.out.turn.give()
			return err
		}
	}
	return nil
}

// failed ends the connection if an error of the socket's means that it is lost.
func (c *Conn) failed(err error) {
	if errors.Is(err, syscall.EPIPE) && c.out.over() {
		return // by CloseWrite
	}
	if isLoss(err) && !c.ended.Load() {
		// A peer's program that closes before it has read all resets the
		// connection, and its node tells by the link.
		c.failing.Store(true)
		c.node.endLater(c, ErrReset)
	}
}

// isLoss reports whether an error of a socket's means that its other end is lost.
func isLoss(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ETIMEDOUT) ||
		errors.Is(err, syscall.ECONNABORTED) || errors.Is(err, syscall.EHOSTUNREACH)
}

// writeError returns the error of a write that did not come to the socket.
func (c *Conn) writeError(err error) error {
	return &net.OpError{Op: "write", Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// CloseWrite tells the peer that nothing more will be written. What it writes can
// still be read. If something that Send has queued has not gone yet, that goes first,
// and CloseWrite does not wait for it. In a private cluster it waits up to 5 seconds for
// room in the socket.
func (c *Conn) CloseWrite() error {
	if _, ok := c.raw.(interface{ CloseWrite() error }); !ok {
		return errors.ErrUnsupported
	}
	if err := c.lost("close write"); err != nil {
		return err
	}
	if !c.out.end() {
		return nil
	}
	return closeWrite(c.raw)
}

// closeWrite ends the writing half of a socket.
func closeWrite(raw net.Conn) error {
	if t, ok := raw.(interface{ CloseWrite() error }); ok {
		return t.CloseWrite()
	}
	return errors.ErrUnsupported
}

// lastWordsTime is how long Close waits for what Send has queued.
const lastWordsTime = 5 * time.Millisecond

// Close closes the connection at once. What Send has queued has 5 milliseconds to go:
// use CloseWrite, and read until the peer has finished, to be sure of it. Another
// connection to the peer takes its place for as long as both nodes run: after a quarter
// of a second, which doubles up to 30 seconds for as long as none lasts 10 seconds. In a
// private cluster Close waits up to 5 seconds for room in the socket to say
// that this is the end, so that the peer can tell it from a cut.
func (c *Conn) Close() error { return c.shut(ErrClosed) }

// shut closes the connection for a cause of this node's own.
func (c *Conn) shut(cause error) error {
	if !c.closing.CompareAndSwap(false, true) {
		return net.ErrClosed
	}
	c.look()
	if cause == ErrClosed {
		c.out.lastWords()
	} else {
		hurry(c.raw, 0)
	}
	err := c.raw.Close()
	c.out.close()
	<-c.out.drained()
	c.finish.Do(func() { close(c.finished) })
	if cause == ErrClosed && (c.ending.Load() || c.failing.Load()) && !c.ended.Load() {
		// When a process ends, so do all its sockets, in any order. A
		// program that closes at the end of the stream would be taken
		// for the cause.
		c.node.endLater(c, ErrClosed)
	} else {
		c.link.Ended(cause)
	}
	c.node.forget(c)
	return err
}

// LocalAddr returns this end of the socket.
func (c *Conn) LocalAddr() net.Addr { return c.raw.LocalAddr() }

// RemoteAddr returns the other end of the socket.
func (c *Conn) RemoteAddr() net.Addr { return c.raw.RemoteAddr() }

// SetDeadline sets the time after which Read and Write fail, as in [net.Conn].
func (c *Conn) SetDeadline(t time.Time) error {
	defer c.out.setDeadline(t)
	return c.raw.SetDeadline(t)
}

// SetReadDeadline sets the time after which Read fails, as in [net.Conn].
func (c *Conn) SetReadDeadline(t time.Time) error { return c.raw.SetReadDeadline(t) }

// SetWriteDeadline sets the time after which Write fails, as in [net.Conn]. Until a
// later one is set, what Send has queued waits as well. In a private cluster, where
// nothing can be written after a Write that was cut off, the connection ends with ErrSlow
// then, and another takes its place.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	defer c.out.setDeadline(t)
	return c.raw.SetWriteDeadline(t)
}

// SyscallConn gives access to the socket, as [net.TCPConn.SyscallConn]. In a private
// cluster it is the socket under TLS: Control reaches its options, Read and Write of the
// result return [errors.ErrUnsupported].
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	set(&c.used)
	return syscallConn(c.raw)
}

func syscallConn(raw net.Conn) (syscall.RawConn, error) {
	if t, ok := raw.(syscall.Conn); ok {
		return t.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// hurry gives whatever Close and CloseWrite of a private socket wait for no more than
// d.
func hurry(raw net.Conn, d time.Duration) {
	if t, ok := raw.(interface{ Hurry(time.Duration) }); ok {
		t.Hurry(d)
	}
}

// String names the peer.
func (c *Conn) String() string {
	return fmt.Sprintf("%s (%s, %v)", c.peer.ID, c.peer.Label, c.peer.Addr)
}

// look counts what copies have moved by now.
func (c *Conn) look() {
	if !c.read.copying() && !c.written.copying() {
		return
	}
	if f := factsOf(c.raw); f.known {
		c.read.look(f.taken())
		c.written.look(f.given())
	}
}

// moved returns figures that change whenever bytes are read or written.
func (c *Conn) moved() [3]uint64 {
	c.look()
	return [3]uint64{c.read.n.Load(), c.written.n.Load(), c.out.status().QueuedBytes}
}

// unsent returns how many of the bytes in the socket have not arrived.
func (c *Conn) unsent(f facts) int { return f.unsent(c.peer.private(), c.out.over()) }

// worthWaiting reports whether there may be something to say or to read still.
func (c *Conn) worthWaiting() bool {
	cause := context.Cause(c.ctx)
	if cause == nil {
		return true
	}
	f := factsOf(c.raw)
	return f.unread(c.peer.private()) > 0 || orderly(cause) && !f.Closed
}

// retire closes the connection for a program that may not know yet that it has ended.
func (c *Conn) retire() {
	f, cause := factsOf(c.raw), context.Cause(c.ctx)
	reset := f.Closed && !c.out.over()
	c.allRead.Store(f.known && f.Ended && f.Unread == 0 && !reset && (cause == nil || orderly(cause)) && !c.peer.private())
	c.Close()
}

// parting is what Shutdown waits for.
func (c *Conn) parting() parting {
	return parting{
		conn: c, raw: c.raw, peer: c.peer, drained: c.out.drained, finished: c.finished,
		over: c.ctx.Done(), cause: func() error { return context.Cause(c.ctx) },
		used: c.used.Load, unsent: c.unsent, moved: c.moved, lost: c.undelivered, before: c.undelivered(),
	}
}

// undelivered grows with what was written and did not arrive.
func (c *Conn) undelivered() uint64 {
	n := c.out.status().Dropped
	if c.short.Load() {
		n++
	}
	return n
}

// orderly reports whether a connection that ended for this cause was ended by whom it
// belongs to.
func orderly(cause error) bool { return errors.Is(cause, ErrLeft) || errors.Is(cause, ErrClosed) }

// abrupt reports whether a connection that ended for this cause will have no end
// of the stream of its own: nobody is there any more to send it.
func abrupt(cause error) bool {
	return errors.Is(cause, ErrTimeout) || errors.Is(cause, ErrRestarted) || errors.Is(cause, ErrReplaced)
}

// end is called by the node when the connection has ended. What has arrived can
// still be read.
func (c *Conn) end(cause error) {
	lost := abrupt(cause) || errors.Is(cause, ErrReset)
	c.short.Store(lost && c.unsent(factsOf(c.raw)) > 0)
	c.ended.Store(true)
	c.cancel(cause)
	if !abrupt(cause) {
		return
	}
	abandon(c.raw)
}

// abandon gives up a socket whose other end is gone.
func abandon(raw net.Conn) {
	if t, ok := raw.(interface{ Abandon() }); ok {
		t.Abandon()
	} else if t, ok := raw.(interface {
		CloseRead() error
		SetLinger(sec int) error
	}); ok {
		// Wakes whoever waits for bytes that will not come. Linux keeps those
		// that have; some other systems do not.
		t.CloseRead()
		// If the other end is there after all, it must not take this for the
		// end of the stream: closing resets the connection.
		t.SetLinger(0)
		raw.SetWriteDeadline(time.Unix(1, 0))
	} else {
		raw.Close()
	}
}
