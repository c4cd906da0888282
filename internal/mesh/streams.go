package mesh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"example.com/tcpnet/internal/link"
)

// Bounds of PROTOCOL.md section 12.
const (
	maxOpening = 8  // streams that this side dials at once over one link
	maxAsking  = 32 // DIALs that this side has under way at once over one link
	maxBacks   = 64 // DIALs of one link served at once
)

// streamTime is how long opening a stream may take in all.
const streamTime = 10 * time.Second

// streams is what a Mesh needs for them.
type streams struct {
	services services
	asks     asks
	secret   link.Secret   // of streams to the node itself
	self     *path         // of those
	adopted  chan struct{} // closed and replaced when a link was adopted; guarded by Mesh.mu
}

func newStreams(ctx context.Context) streams {
	return streams{secret: link.NewSecret(), self: newPath(ctx), adopted: make(chan struct{})}
}

// path is what is known of streams over one link.
type path struct {
	ctx      context.Context // ends with the link
	end      context.CancelFunc
	slots    chan struct{}                     // has an element for each stream that is being dialled
	asking   chan struct{}                     // and for each that the peer was asked to dial
	backs    map[link.Nonce]context.CancelFunc // DIALs being served; guarded by Mesh.mu
	askFirst atomic.Bool                       // the peer could not be reached from here, but when asked it came
	lost     atomic.Pointer[error]             // why nobody is there any more
}

func newPath(ctx context.Context) *path {
	p := &path{slots: make(chan struct{}, maxOpening), asking: make(chan struct{}, maxAsking), backs: make(map[link.Nonce]context.CancelFunc)}
	p.ctx, p.end = context.WithCancel(ctx)
	return p
}

// way is how streams get to one peer at one moment.
type way struct {
	link    link.LinkID // none if the peer is the node itself
	peer    Peer
	secret  link.Secret
	dialled bool // the link, by this side
	addrs   []netip.AddrPort
	path    *path
}

// wayTo returns how to get to a node.
func (m *Mesh) wayTo(id link.ID) (way, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.wayToLocked(id)
}

func (m *Mesh) wayToLocked(id link.ID) (way, error) {
	if m.closed || m.core.leaving {
		return way{}, ErrClosed
	}
	if id == m.cfg.ID {
		w := way{peer: m.self(), secret: m.streams.secret, dialled: true, path: m.streams.self}
		w.addrs = slices.Clone(m.cfg.Addrs())
		slices.SortStableFunc(w.addrs, func(a, b netip.AddrPort) int { // loopback first
			switch near := a.Addr().IsLoopback(); {
			case near == b.Addr().IsLoopback():
				return 0
			case near:
				return -1
			default:
				return 1
			}
		})
		return w, nil
	}
	p := m.core.peers[id]
	switch {
	case p == nil:
		return way{}, ErrNoPeer
	case p.sess == nil && p.lastErr != nil:
		return way{}, fmt.Errorf("%w: it is known, and not connected: %v", ErrNoPeer, p.lastErr)
	case p.sess == nil:
		return way{}, fmt.Errorf("%w: it is known, and not connected yet", ErrNoPeer)
	}
	return m.wayOver(p.sess), nil
}

// wayOver returns how to get to the peer of a session. It is called with mu held.
func (m *Mesh) wayOver(s *session) way {
	w := way{link: s.id, peer: peerInfo(s), secret: s.secret, dialled: s.dialled, path: m.links[s.id].path}
	if s.dialled {
		w.addrs = []netip.AddrPort{s.remote}
	} else {
		w.addrs = slices.Clone(s.peer.addrs)
	}
	return w
}

// Known returns why a node that was found, or was a peer once, is not connected, or nil
// if nothing is known of it.
func (m *Mesh) Known(id link.ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.core.peers[id] == nil {
		return nil
	}
	_, err := m.wayToLocked(id)
	return err
}

// CloseServices ends all services and lets none be made.
func (m *Mesh) CloseServices() { m.streams.services.close() }

// self describes the node as its peers see it.
func (m *Mesh) self() Peer {
	return Peer{ID: m.cfg.ID, Label: m.cfg.Label, Meta: m.cfg.Meta, Version: link.Version}
}

// Peers returns the nodes that streams can be opened to, the node itself first. When
// it is closed or leaving there are none.
func (m *Mesh) Peers() []Peer {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || m.core.leaving {
		return nil
	}
	all := []Peer{m.self()}
	for _, p := range m.core.everyone() {
		if p.sess != nil {
			all = append(all, peerInfo(p.sess))
		}
	}
	return all
}

// Listen makes a service.
func (m *Mesh) Listen(name string) (*Service, error) { return m.streams.services.listen(name) }

// Services returns the names of the node's services.
func (m *Mesh) Services() []string { return m.streams.services.names() }

// DialStream opens a stream to a service of the node with this ID, which may be this
// node.
func (m *Mesh) DialStream(ctx context.Context, id link.ID, service string) (*Stream, error) {
	if err := link.CheckService(service); err != nil {
		return nil, err
	}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil, ErrClosed
	}
	m.wg.Add(1) // what runs in here is the mesh's
	m.mu.Unlock()
	defer m.wg.Done()
	caller := ctx
	ctx, cancel := context.WithTimeoutCause(ctx, streamTime, ErrTimeout)
	defer cancel()
	defer context.AfterFunc(m.ctx, cancel)()
	for {
		w, err := m.wayTo(id)
		if err != nil {
			return nil, err
		}
		conn, again, err := m.openStream(ctx, w, service)
		switch {
		case err == nil:
			return m.newStream(conn, w, service), nil
		case m.ctx.Err() != nil:
			return nil, ErrClosed
		case caller.Err() != nil && context.Cause(caller) != caller.Err():
			return nil, fmt.Errorf("%w: %w (%v)", caller.Err(), context.Cause(caller), err)
		case ctx.Err() != nil:
			return nil, fmt.Errorf("%w (%v)", context.Cause(ctx), err)
		case decisive(err):
			return nil, err
		case again:
			wait := time.NewTimer(busyRetry)
			select {
			case <-wait.C:
			case <-ctx.Done():
			}
			wait.Stop()
		case w.path.ctx.Err() == nil:
			return nil, err
		} // else the link has ended; there may be another
	}
}

// newStream makes a stream of a socket that has become one.
func (m *Mesh) newStream(conn net.Conn, w way, service string) *Stream {
	st := &Stream{Net: conn, Peer: w.peer, Service: service, path: w.path}
	st.Peer.Addr, st.Peer.TLS = endpoint(conn.RemoteAddr()), tlsState(conn)
	return st
}

// openStream opens a stream by the best of the two ways, or by the other if that
// fails or takes its time. If both fail, it says whether they may do better again.
func (m *Mesh) openStream(ctx context.Context, w way, service string) (conn net.Conn, again bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(w.path.ctx, cancel)()
	var taken atomic.Bool
	want := func() bool { return taken.CompareAndSwap(false, true) }
	dial := func() (net.Conn, error) {
		return m.callStream(ctx, w, link.StreamOpen, link.NewNonce(), service, want)
	}
	ask := func() (net.Conn, error) { return m.askForStream(ctx, w, service, want) }

	// The way that the link was made by is known to work; what else there is, is
	// tried sooner where it is not.
	first, second, delay := dial, ask, hedge
	askFirst := w.path.askFirst.Load()
	switch {
	case w.link == 0:
		second = nil
	case w.dialled:
		delay = patience
	case askFirst:
		first, second, delay = ask, dial, patience
	}
	type outcome struct {
		conn   net.Conn
		err    error
		second bool
	}
	outcomes := make(chan outcome, 2)
	running := 1
	go func() {
		conn, err := first()
		outcomes <- outcome{conn, err, false}
	}()
	other := func() {
		if second == nil || ctx.Err() != nil {
			return
		}
		try := second
		second = nil
		running++
		go func() {
			conn, err := try()
			outcomes <- outcome{conn, err, true}
		}()
	}
	late := time.NewTimer(delay)
	defer late.Stop()
	var failed error
	for running > 0 {
		select {
		case <-late.C:
			other()
		case o := <-outcomes:
			running--
			if o.err != nil && passes(o.err) {
				again = true
			}
			switch {
			case o.err == nil:
				conn = o.conn
				if o.second && (!w.dialled || failed != nil) {
					w.path.askFirst.Store(!askFirst)
				}
				cancel() // the other
			case decisive(o.err):
				failed = o.err
				cancel()
			case failed == nil:
				failed = o.err
				other()
			case !decisive(failed) && !errors.Is(o.err, context.Canceled):
				failed = fmt.Errorf("%w; %w", failed, o.err)
			}
		}
	}
	if conn != nil {
		return conn, false, nil
	}
	return nil, again, failed
}

// passes reports whether an attempt has failed for a reason that may be gone soon, such
// as packets that were lost.
func passes(err error) bool {
	var a *answer
	if errors.As(err, &a) {
		return a.code == link.CodeBusy
	}
	return !definite(err) && !errors.Is(err, context.Canceled)
}

// decisive reports whether an attempt has got an answer that any other would get, too.
func decisive(err error) bool {
	return errors.Is(err, ErrNoService) || errors.Is(err, ErrServiceBusy) || errors.Is(err, errLeaving)
}

// callStream dials the socket of a stream, as either side of it. want is asked before
// the last word.
func (m *Mesh) callStream(ctx context.Context, w way, mode link.StreamMode, nonce link.Nonce, service string, want func() bool) (conn net.Conn, err error) {
	select {
	case w.path.slots <- struct{}{}:
		defer func() { <-w.path.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req := &link.StreamRequest{Mode: mode, From: m.cfg.ID, To: w.peer.ID, Nonce: nonce, Service: service}
	req.Proof = req.Prove(w.secret, w.dialled)
	first := link.AppendStreamRequest(link.AppendPreface(nil, link.KindStream), req)
	lost := context.Canceled // what became of an attempt that has won
	err = race(ctx, w.addrs, &m.room, func(attempt context.Context, a netip.AddrPort, r *contest) error {
		c, keep, err := m.dial(attempt, m.ctx, a, r)
		if err != nil {
			return err
		}
		c.SetDeadline(time.Now().Add(handshakeTime))
		var challenge link.Nonce
		if vouched(c, w.peer.ID) != nil {
			err = &answer{err: ErrWrongNode}
		} else if _, err = c.Write(first); err == nil {
			challenge, err = readAnswer(c, w.secret, nonce)
		}
		if err != nil {
			c.Close()
			if decisive(err) {
				cancel(err) // it would be told the same at all addresses
			}
			return fmt.Errorf("%v: %w", a, err)
		}
		if !r.win(attempt) || !want() || !keep() {
			c.Close()
			return context.Canceled
		}
		last := w.secret.ProveGo(nonce, challenge)
		if _, lost = c.Write(last[:]); lost != nil {
			c.Close()
			return lost
		}
		conn = c
		return nil
	})
	switch {
	case conn != nil:
		conn.SetDeadline(time.Time{})
		tune(conn, m.cfg.Interval, m.cfg.Timeout)
		return conn, nil
	case decisive(context.Cause(ctx)):
		return nil, context.Cause(ctx)
	case err == nil: // one has won, and was not wanted any more or has failed then
		return nil, lost
	}
	return nil, err
}

// readAnswer reads what an acceptor says to a request.
func readAnswer(c net.Conn, s link.Secret, nonce link.Nonce) (challenge link.Nonce, err error) {
	var head [1]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return challenge, fmt.Errorf("wait for the answer to a stream: %w", err)
	}
	switch head[0] {
	case link.Accepted:
		var proof link.Proof
		if _, err = io.ReadFull(c, challenge[:]); err == nil {
			_, err = io.ReadFull(c, proof[:])
		}
		if err == nil && !proof.Equal(s.ProveAnswer(nonce, challenge)) {
			err = &answer{err: ErrWrongNode}
		}
		return challenge, err
	case byte(link.FrameReject): // by who has not looked at the request
		return challenge, &answer{code: link.CodeBusy, err: ErrBusy}
	}
	code := link.Code(head[0])
	return challenge, &answer{code: code, err: streamError(code)}
}

// streamError is what a refused stream means to the program.
func streamError(code link.Code) error {
	switch code {
	case link.CodeNoService:
		return ErrNoService
	case link.CodeServiceBusy:
		return ErrServiceBusy
	case link.CodeLeaving:
		return fmt.Errorf("%w: %w", ErrNoPeer, errLeaving)
	case link.CodeWrongNode:
		return ErrWrongNode
	default:
		return fmt.Errorf("%w: %v", ErrRefused, code)
	}
}

// askForStream lets the peer dial the stream's socket.
func (m *Mesh) askForStream(ctx context.Context, w way, service string, want func() bool) (net.Conn, error) {
	select {
	case w.path.asking <- struct{}{}:
		defer func() { <-w.path.asking }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	a := m.streams.asks.add(w.link, service, want)
	defer a.drop()
	m.step(nil, func(time.Time) {
		(*sideEffects)(m).send(w.link, link.AppendDial(nil, link.DialBack{Nonce: a.nonce, Service: service}))
	})
	select {
	case o := <-a.got:
		return o.conn, o.err
	case <-ctx.Done():
		m.step(nil, func(time.Time) {
			(*sideEffects)(m).send(w.link, link.AppendNoDial(nil, link.NoDial{Nonce: a.nonce, Code: link.CodeNotWanted}))
		})
		return nil, ctx.Err()
	}
}

// gotNoDial takes a NODIAL. It is called with mu held.
func (m *Mesh) gotNoDial(id link.LinkID, n link.NoDial) {
	if e := m.links[id]; e != nil && e.path.backs[n.Nonce] != nil {
		e.path.backs[n.Nonce]()
		delete(e.path.backs, n.Nonce)
		return
	}
	err := streamError(n.Code)
	if n.Code == link.CodeCannotDial {
		err = &answer{n.Code, fmt.Errorf("the peer was asked to connect and cannot: %q", n.Text), Peer{}}
	}
	m.streams.asks.refuse(id, n.Nonce, err)
}

// gotDial takes a DIAL. It is called with mu held.
func (m *Mesh) gotDial(id link.LinkID, d link.DialBack) {
	s := m.core.sessions[id]
	if s == nil || !s.adopted || s.departing || s.peer.sess != s {
		return
	}
	code := link.Code(0)
	w := m.wayOver(s)
	switch {
	case m.core.leaving:
		code = link.CodeLeaving
	case w.path.backs[d.Nonce] != nil:
		return // told twice
	case len(w.path.backs) >= maxBacks:
		code = link.CodeServiceBusy
	}
	if code != 0 {
		(*sideEffects)(m).send(id, link.AppendNoDial(nil, link.NoDial{Nonce: d.Nonce, Code: code}))
		return
	}
	// What the peer says of its addresses may be a lie, and is not dialled at its word.
	w.addrs = slices.DeleteFunc(w.addrs, func(a netip.AddrPort) bool { return a.Addr() != s.remote.Addr() })
	ctx, cancel := context.WithTimeout(w.path.ctx, streamTime)
	w.path.backs[d.Nonce] = cancel
	m.jobs = append(m.jobs, func() {
		defer cancel()
		m.dialBack(ctx, w, d)
	})
}

// dialBack dials the socket of a stream that the peer opens, until that does not want
// it any more.
func (m *Mesh) dialBack(ctx context.Context, w way, d link.DialBack) {
	no := link.NoDial{Nonce: d.Nonce}
	var place *place
	if place, no.Code = m.streams.services.reserve(d.Service); place != nil {
		defer place.release()
		conn, err := m.callStream(ctx, w, link.StreamBack, d.Nonce, d.Service, func() bool { return true })
		if err == nil {
			place.deliver(m.newStream(conn, w, d.Service))
		} else {
			no.Code, no.Text = link.CodeCannotDial, "no answer"
			if errors.Is(err, syscall.ECONNREFUSED) {
				no.Text = "connection refused"
			}
		}
	}
	m.step(nil, func(time.Time) {
		_, wanted := w.path.backs[d.Nonce]
		delete(w.path.backs, d.Nonce)
		if no.Code != 0 && wanted {
			(*sideEffects)(m).send(w.link, link.AppendNoDial(nil, no))
		}
	})
}

// serveStream is the acceptor's side of callStream.
func (m *Mesh) serveStream(conn net.Conn, remote netip.AddrPort, leave func() bool) {
	defer leave()
	st, deliver, err := m.acceptStream(conn)
	switch {
	case err != nil:
		conn.Close()
		if errors.Is(err, link.ErrProtocol) {
			m.log.met(remote, err)
		}
	case !leave(): // it was closed to make room
		deliver(nil)
	default:
		conn.SetDeadline(time.Time{})
		tune(conn, m.cfg.Interval, m.cfg.Timeout)
		deliver(st)
	}
}

// acceptStream is the handshake of serveStream. It returns the stream and what hands
// it on, or takes note that it is lost if called with nil.
func (m *Mesh) acceptStream(conn net.Conn) (st *Stream, deliver func(*Stream), err error) {
	req, err := link.ReadStreamRequest(conn)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", link.ErrProtocol, err)
	}
	if err := vouched(conn, req.From); err != nil {
		return nil, nil, err
	}
	refuse := func(code link.Code) error {
		conn.Write([]byte{byte(code)})
		return streamError(code)
	}
	if req.To != m.cfg.ID {
		return nil, nil, refuse(link.CodeWrongNode)
	}
	w, err := m.recognize(req)
	switch {
	case errors.Is(err, ErrClosed):
		return nil, nil, refuse(link.CodeLeaving)
	case err != nil:
		return nil, nil, fmt.Errorf("%w: a stream from nobody who is linked with this node", link.ErrProtocol)
	}
	switch req.Mode {
	case link.StreamOpen:
		place, code := m.streams.services.reserve(req.Service)
		if place == nil {
			return nil, nil, refuse(code)
		}
		deliver = func(st *Stream) {
			if st == nil {
				place.release()
			} else {
				place.deliver(st)
			}
		}
	case link.StreamBack:
		ask := m.streams.asks.take(w.link, req.Nonce, req.Service)
		if ask == nil {
			return nil, nil, refuse(link.CodeNotWanted)
		}
		deliver = func(st *Stream) {
			if st == nil {
				ask.finish(asked{err: ErrReset})
			} else {
				ask.finish(asked{conn: st.Net})
			}
		}
	}
	challenge := link.NewNonce()
	proof := w.secret.ProveAnswer(req.Nonce, challenge)
	answer := append(append([]byte{link.Accepted}, challenge[:]...), proof[:]...)
	conn.SetDeadline(time.Now().Add(handshakeTime)) // they know the link's secret
	if _, err = conn.Write(answer); err == nil {
		_, err = io.ReadFull(conn, proof[:])
	}
	if err == nil && !proof.Equal(w.secret.ProveGo(req.Nonce, challenge)) {
		err = fmt.Errorf("%w: a stream's last word is wrong", link.ErrProtocol)
	}
	if err != nil {
		deliver(nil)
		return nil, nil, err
	}
	return m.newStream(conn, w, req.Service), deliver, nil
}

// recognize returns the way to whoever sent a request. One that no secret explains may
// be ahead of the COMMIT that does, which comes by another socket.
func (m *Mesh) recognize(req *link.StreamRequest) (way, error) {
	timer := time.NewTimer(handshakeTime)
	defer timer.Stop()
	for {
		m.mu.Lock()
		w, err := m.wayToLocked(req.From)
		adopted := m.streams.adopted
		m.mu.Unlock()
		dialled := !w.dialled || w.link == 0 // the sender, the link
		switch {
		case errors.Is(err, ErrClosed):
			return way{}, err
		case err == nil && req.Prove(w.secret, dialled).Equal(req.Proof):
			return w, nil
		}
		select {
		case <-adopted:
		case <-timer.C:
			return way{}, ErrNoPeer
		case <-m.ctx.Done():
			return way{}, ErrClosed
		}
	}
}
