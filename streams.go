package tcpnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"example.com/tcpnet/internal/mesh"
)

// Listen gives this node a service: other nodes of the cluster, and this one, open
// streams to it with DialContext. The name is 1 to 255 bytes of any UTF-8 text, such
// as "http".
//
// The listener's Accept returns connections of type *[Stream], which know their peer.
// Up to 128 streams wait to be accepted; whoever opens another meanwhile gets
// ErrServiceBusy. Close of the listener, or of the node, ends the service and those
// that wait, and makes Accept return an error that wraps [net.ErrClosed]; streams that
// were accepted are not touched by the listener.
//
// The error is ErrServiceInUse if the node has a service of that name, ErrClosed if
// the node is closed or leaving, and otherwise about the name.
func (n *Node) Listen(service string) (net.Listener, error) {
	s, err := n.mesh.Listen(service)
	if err != nil {
		return nil, fmt.Errorf("tcpnet: listen %q: %w", service, err)
	}
	return &listener{node: n, service: s}, nil
}

// listener is a service of a node as a net.Listener.
type listener struct {
	node    *Node
	service *mesh.Service
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		st, err := l.service.Accept()
		if err != nil {
			return nil, l.failed("accept", err)
		}
		if s := l.node.stream(st); s != nil {
			return s, nil
		}
	}
}

func (l *listener) Close() error {
	if err := l.service.Close(); err != nil {
		return l.failed("close", err)
	}
	return nil
}

func (l *listener) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: l.Addr().Network(), Addr: l.Addr(), Err: err}
}

// Addr returns a [ServiceAddr].
func (l *listener) Addr() net.Addr {
	return ServiceAddr{ID: l.node.ID(), Service: l.service.Name}
}

// ServiceAddr is the address of a service: what a listener made by [Node.Listen] has.
type ServiceAddr struct {
	ID      ID
	Service string
}

// Network returns "tcpnet".
func (a ServiceAddr) Network() string { return "tcpnet" }

// String returns the address as "ID.mesh:service". [Node.DialContext] takes it as the
// peer.
func (a ServiceAddr) String() string { return string(a.ID) + Suffix + ":" + a.Service }

// DialContext opens a stream to a service of a peer, or of this node. The peer is an
// ID or a label, in any of the forms that clients of the network pass on: "kitchen-pi",
// "kitchen-pi.mesh" and "kitchen-pi.mesh:80" are the same, the port, if any, being
// ignored. An ID goes before a label that looks like it, and a label that is exactly
// the same before one that differs in upper and lower case.
//
// The connection is a *[Stream]: a TCP connection of its own to the peer's node, which
// is dialled from the side that can. ctx bounds opening it alone, which takes two round
// trips, and gives up after 10 seconds in any case.
//
// The error wraps ErrNoPeer if no peer of that name is connected now (see [Node.Wait]
// and [Node.Events] for how to wait for one), ErrAmbiguous if several have the label,
// ErrNoService if the peer's program does not listen for the service, ErrServiceBusy
// if it is too slow in accepting, ErrTimeout, ErrClosed if this node is closed or
// leaving, or ctx's error.
func (n *Node) DialContext(ctx context.Context, peer, service string) (net.Conn, error) {
	id, err := n.find(peer)
	if err == nil {
		var st *mesh.Stream
		if st, err = n.mesh.DialStream(ctx, id, service); err == nil {
			if s := n.stream(st); s != nil {
				return s, nil
			}
			err = ErrClosed
		}
	}
	return nil, fmt.Errorf("tcpnet: dial %q at %q: %w", service, peer, err)
}

// Stream is a connection to a service of a node, at either end: what [Node.DialContext]
// and the listeners of [Node.Listen] return. It is a TCP socket that carries nothing
// but the bytes of the two programs, in TLS if the cluster is private.
//
// A stream ends when either program closes it, when the network between the two or
// the other's machine is gone, or when either node is closed. It is not replaced by
// another. A machine that is gone is noticed in about Liveness.Timeout, or, if the two
// nodes had lost each other before, by the system's keep-alive.
type Stream struct {
	raw    net.Conn
	opened *mesh.Stream
	node   *Node
	peer   PeerInfo

	finished chan struct{} // closed when the peer's end of the stream was read, or by Close
	finish   sync.Once
	closing  atomic.Bool
	lost     atomic.Pointer[error] // why, if the peer was lost
	moved    atomic.Uint64         // bytes
	used     atomic.Bool           // the program reads it, or has taken the socket
	half     atomic.Bool           // this side's half is ended
}

var _ interface {
	net.Conn
	io.ReaderFrom
	io.WriterTo
	syscall.Conn
} = (*Stream)(nil)

// lose ends a stream whose peer is gone. What has arrived can still be read.
func (s *Stream) lose(cause error) {
	if !s.lost.CompareAndSwap(nil, &cause) {
		return
	}
	s.finish.Do(func() { close(s.finished) })
	abandon(s.raw)
}

// failed says what the end of a read or write means.
func (s *Stream) failed(op string, err error) error {
	if cause := s.lost.Load(); cause != nil && err != nil {
		return fmt.Errorf("tcpnet: %s: %w", op, *cause)
	}
	return err
}

// stream makes a Stream of one that is open, or returns nil if the node is closed.
func (n *Node) stream(st *mesh.Stream) *Stream {
	s := &Stream{raw: st.Net, opened: st, node: n, peer: peerInfo(st.Peer), finished: make(chan struct{})}
	n.mu.Lock()
	if n.ended {
		n.mu.Unlock()
		s.raw.Close()
		return nil
	}
	n.streams[s] = struct{}{}
	n.mu.Unlock()
	if cause := st.Lost(); cause != nil { // while it waited to be accepted
		s.lose(cause)
	}
	return s
}

// parting is what Shutdown waits for.
func (s *Stream) parting() parting {
	drained := make(chan struct{}) // nothing is queued
	close(drained)
	return parting{
		conn: s, raw: s.raw, peer: s.peer, drained: func() <-chan struct{} { return drained }, finished: s.finished,
		used: s.used.Load, unsent: func(f facts) int { return f.unsent(s.peer.private(), s.half.Load()) },
		moved: func() [3]uint64 { return [3]uint64{s.moved.Load()} }, lost: func() uint64 { return 0 },
	}
}

// Peer describes the node at the other end.
func (s *Stream) Peer() PeerInfo {
	p := s.peer
	p.Meta = maps.Clone(p.Meta)
	return p
}

// Service returns the name that the stream was opened by.
func (s *Stream) Service() string { return s.opened.Service }

// Read reads what the peer has written. In a private cluster a stream that was cut is
// never taken for one that ended: the error wraps io.ErrUnexpectedEOF.
func (s *Stream) Read(b []byte) (int, error) {
	set(&s.used)
	n, err := s.raw.Read(b)
	s.moved.Add(uint64(n))
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		s.finish.Do(func() { close(s.finished) })
	}
	return n, s.failed("read", err)
}

// WriteTo writes all that the peer writes to w, without a copy where the system can
// (see [net.TCPConn.WriteTo]), except in a private cluster.
func (s *Stream) WriteTo(w io.Writer) (n int64, err error) {
	set(&s.used)
	if t, ok := s.raw.(*net.TCPConn); ok && systemTells {
		n, err = t.WriteTo(w)
	} else {
		n, err = io.Copy(w, &source{Reader: s.raw, n: &s.moved})
	}
	if f := factsOf(s.raw); err == nil || f.Closed && f.Unread == 0 { // err may be w's
		s.finish.Do(func() { close(s.finished) })
	}
	if err == nil && s.lost.Load() != nil {
		err = io.EOF
	}
	return n, s.failed("read", err)
}

// Write writes to the peer. It returns when the system has taken the bytes. In a
// private cluster no Write succeeds after one that has failed, also by a deadline.
func (s *Stream) Write(b []byte) (int, error) {
	if s.lost.Load() != nil { // also where a deadline was set since then
		return 0, s.failed("write", net.ErrClosed)
	}
	n, err := s.raw.Write(b)
	s.moved.Add(uint64(n))
	return n, s.failed("write", err)
}

// ReadFrom writes all of r to the peer, without a copy where the system can (see
// [net.TCPConn.ReadFrom]), except in a private cluster.
func (s *Stream) ReadFrom(r io.Reader) (int64, error) {
	if s.lost.Load() != nil {
		return 0, s.failed("write", net.ErrClosed)
	}
	if t, ok := s.raw.(io.ReaderFrom); ok {
		n, err := t.ReadFrom(r)
		return n, s.failed("write", err)
	}
	n, err := io.Copy(drain{s.raw, &s.moved}, r)
	return n, s.failed("write", err)
}

// CloseWrite tells the peer that nothing more will be written. What it writes can
// still be read. In a private cluster it waits up to 5 seconds for room in the socket,
// and so does Close.
func (s *Stream) CloseWrite() error {
	if s.lost.Load() != nil {
		return s.failed("close write", net.ErrClosed)
	}
	err := closeWrite(s.raw)
	if err == nil {
		s.half.Store(true)
	}
	return err
}

// Close closes the stream at once.
func (s *Stream) Close() error {
	if !s.closing.CompareAndSwap(false, true) {
		return net.ErrClosed
	}
	err := s.raw.Close()
	s.finish.Do(func() { close(s.finished) })
	s.node.mu.Lock()
	defer s.node.mu.Unlock()
	delete(s.node.streams, s)
	s.node.closedLocked()
	return err
}

// LocalAddr returns this end of the socket.
func (s *Stream) LocalAddr() net.Addr { return s.raw.LocalAddr() }

// RemoteAddr returns the other end of the socket. See Peer for who is there.
func (s *Stream) RemoteAddr() net.Addr { return s.raw.RemoteAddr() }

// SetDeadline sets the time after which Read and Write fail, as in [net.Conn].
func (s *Stream) SetDeadline(t time.Time) error { return s.raw.SetDeadline(t) }

// SetReadDeadline sets the time after which Read fails, as in [net.Conn].
func (s *Stream) SetReadDeadline(t time.Time) error { return s.raw.SetReadDeadline(t) }

// SetWriteDeadline sets the time after which Write fails, as in [net.Conn].
func (s *Stream) SetWriteDeadline(t time.Time) error { return s.raw.SetWriteDeadline(t) }

// SyscallConn gives access to the socket, as [Conn.SyscallConn].
func (s *Stream) SyscallConn() (syscall.RawConn, error) {
	set(&s.used)
	return syscallConn(s.raw)
}

// String names the peer and the service.
func (s *Stream) String() string {
	return fmt.Sprintf("%q of %s (%s, %v)", s.Service(), s.peer.ID, s.peer.Label, s.peer.Addr)
}
