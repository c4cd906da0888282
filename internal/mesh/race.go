package mesh

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// How sockets to the addresses of one node are raced (RFC 8305 section 5, with a
// shorter delay: all are on the local network).
const (
	stagger = 100 * time.Millisecond // before the next address is tried
	// A lost SYN costs the kernel a second, a second socket less.
	hedgeFirst = 200 * time.Millisecond
	hedges     = 3 // sockets per address, at most
)

var errNoAddress = errors.New("no address to dial")

// race dials the addresses, the next when the one before fails or takes its time,
// and then those again that have neither answered nor refused. Every socket that
// is established is handed to try, one at a time, until try reports that it is
// done. It returns the last error if none led to that. try closes what it does
// not keep.
func race(ctx context.Context, dial func(context.Context, netip.AddrPort) (net.Conn, error),
	addrs []netip.AddrPort, try func(net.Conn, netip.AddrPort) (done bool, err error)) error {
	type result struct {
		conn net.Conn
		addr netip.AddrPort
		err  error
	}
	if len(addrs) == 0 {
		return errNoAddress
	}
	// Most of the time the first socket is all it takes, and needs no goroutine.
	first, cancelFirst := context.WithTimeout(ctx, stagger)
	conn, err := dial(first, addrs[0])
	cancelFirst()
	if err == nil {
		var done bool
		if done, err = try(conn, addrs[0]); done {
			return err
		}
	}
	queue := slices.Clone(addrs)
	if definite(err) {
		if queue = queue[1:]; len(queue) == 0 {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime+time.Duration(len(queue)-1)*stagger)
	results := make(chan result)
	open := 0
	defer func() {
		cancel()
		for ; open > 0; open-- {
			if r := <-results; r.conn != nil {
				r.conn.Close()
			}
		}
	}()

	begun := make(map[netip.AddrPort]int)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			if len(queue) == 0 {
				continue
			}
			a := queue[0]
			queue = queue[1:]
			if begun[a]++; begun[a] < hedges {
				queue = append(queue, a)
			}
			open++
			go func() {
				conn, err := dial(ctx, a)
				results <- result{conn, a, err}
			}()
			// All addresses once, quickly; then again, ever more slowly.
			round := 0
			if len(queue) > 0 {
				round = begun[queue[0]]
			}
			wait := stagger
			if round > 0 {
				wait = hedgeFirst << (round - 1) / time.Duration(len(addrs))
			}
			timer.Reset(wait)
		case r := <-results:
			open--
			if r.err == nil {
				var done bool
				done, r.err = try(r.conn, r.addr)
				if done {
					return r.err
				}
			}
			if r.err != nil {
				err = r.err
			}
			// Refused, or something else is there: no use in asking again.
			if definite(r.err) {
				queue = slices.DeleteFunc(queue, func(a netip.AddrPort) bool { return a == r.addr })
			}
			if open == 0 {
				if len(queue) == 0 {
					return err
				}
				timer.Reset(0)
			}
		}
		if ctx.Err() != nil && open == 0 {
			if err == nil {
				err = ctx.Err()
			}
			return err
		}
	}
}

// definite reports whether an attempt has an answer that will not change at once.
func definite(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EHOSTUNREACH) ||
		errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EADDRNOTAVAIL) || errors.As(err, new(*answer))
}
