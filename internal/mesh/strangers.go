package mesh

import (
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"example.com/tcpnet/internal/link"
)

// Strangers counts the sockets that came in and did not lead to a peer.
type Strangers struct {
	Garbage     uint64 // did not speak the protocol, or not within the time
	WrongName   uint64 // belong to another cluster
	Busy        uint64 // came when there were too many
	NotAdmitted uint64 // were refused by the program
	NoSecret    uint64 // did not prove a secret, or have no valid certificate
	Mixed       uint64 // are open where this node is private, or private where it is open
	Other       uint64 // the node itself, another ID than the one meant, another version
}

// strangerLog counts strangers and logs each source once a minute.
type strangerLog struct {
	logger *slog.Logger

	mu     sync.Mutex // guards what follows
	count  Strangers
	logged map[oddity]time.Time
}

// oddity is what is logged once a minute: a source and, where the program should know
// of it, why it is not of this cluster.
type oddity struct {
	from netip.Prefix
	why  error
}

const (
	logEvery   = time.Minute // per source and reason
	maxSources = 1024
)

func newStrangerLog(l *slog.Logger) *strangerLog {
	return &strangerLog{logger: l, logged: make(map[oddity]time.Time)}
}

// met takes note of a stranger, and reports whether it is worth telling of: its
// source has not been told of for a while.
func (g *strangerLog) met(remote netip.AddrPort, err error) bool {
	fresh := g.note(remote, err, time.Now())
	if fresh {
		g.logger.Warn("not a peer", "remote", remote, "err", err)
	}
	return fresh
}

// note counts a stranger and reports whether to log it.
func (g *strangerLog) note(remote netip.AddrPort, err error, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	var why error
	switch {
	case errors.Is(err, ErrWrongName):
		g.count.WrongName++
	case errors.Is(err, ErrBusy):
		g.count.Busy++
	case errors.Is(err, ErrNotAdmitted):
		g.count.NotAdmitted++
	case errors.Is(err, ErrNoSecret), errors.Is(err, ErrCertificate):
		g.count.NoSecret++
		why = ErrNoSecret
	case errors.Is(err, ErrOpen), errors.Is(err, ErrPrivate):
		g.count.Mixed++
		why = ErrOpen
	case errors.Is(err, errSelf), errors.Is(err, ErrWrongNode), errors.Is(err, ErrVersion), errors.Is(err, ErrDuplicateID):
		g.count.Other++
		return !errors.Is(err, errSelf) && g.due(remote, why, now)
	case errors.Is(err, link.ErrProtocol):
		g.count.Garbage++
	default: // it hung up, or was too slow
		g.count.Garbage++
	}
	return g.due(remote, why, now)
}

// due reports whether the source has not been logged for a while for this reason, and
// takes note that it is now.
func (g *strangerLog) due(remote netip.AddrPort, why error, now time.Time) bool {
	src := oddity{source(remote.Addr()), why}
	if last, ok := g.logged[src]; ok && now.Sub(last) < logEvery {
		return false
	}
	if len(g.logged) >= maxSources {
		for s, last := range g.logged {
			if now.Sub(last) >= logEvery {
				delete(g.logged, s)
			}
		}
		if len(g.logged) >= maxSources {
			return false
		}
	}
	g.logged[src] = now
	return true
}

// strangers returns the counts.
func (g *strangerLog) strangers() Strangers {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.count
}
