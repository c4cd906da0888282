package mesh

import (
	"errors"
	"fmt"

	"example.com/tcpnet/internal/secure"
)

// Why a connection ended.
var (
	ErrLeft      = errors.New("the peer has left")
	ErrTimeout   = errors.New("the peer did not answer in time")
	ErrRestarted = errors.New("the peer was restarted")
	ErrReset     = errors.New("the connection was lost: the peer's process or its network is gone")
	ErrReplaced  = errors.New("a newer connection to the peer has taken its place")
	ErrClosed    = errors.New("closed")
)

// errNoConn is that a peer answers on its link, and no connection can be opened.
var errNoConn = fmt.Errorf("%w: no connection to it can be opened", ErrTimeout)

// Why a peer was not connected to.
var (
	ErrDuplicateID = errors.New("two living nodes use one ID: give each its own, or leave Config.ID empty")
	ErrRefused     = errors.New("refused by the peer")
	ErrWrongName   = errors.New("the node there belongs to another cluster")
	ErrWrongNode   = errors.New("another node answers there")
	ErrNotTCPNet   = errors.New("what answers there does not speak the tcpnet protocol")
	ErrVersion     = errors.New("the node there speaks no version of the protocol that this one speaks")
	ErrBusy        = secure.ErrBusy
	ErrNotAdmitted = errors.New("not admitted by Config.Admit")
	ErrPrivate     = errors.New("the cluster there is private and this node is open: give it the secret (Config.Secrets, tcpnet join --secret-file), or choose another name")
	ErrOpen        = secure.ErrOpen
	ErrNoSecret    = secure.ErrNoSecret
	ErrCertificate = secure.ErrCertificate

	// Why a stream was not opened.
	ErrNoPeer       = errors.New("no such peer is connected")
	ErrNoService    = errors.New("the peer has no such service")
	ErrServiceBusy  = errors.New("too many streams wait for the peer's service to accept them")
	ErrServiceInUse = errors.New("the node has a service of that name already")

	errSelf      = errors.New("the node has reached itself")
	errDuplicate = errors.New("there is a working link already")
	errLeaving   = errors.New("the node there is leaving")
)
