package tcpnet

import (
	"errors"

	"example.com/tcpnet/internal/mesh"
)

// Why a connection has ended. One of these is the cause of its [Conn.Context] and
// the reason of its [Left] event, perhaps wrapped: test with [errors.Is].
var (
	// ErrLeft: the peer has left the cluster by Shutdown or Close.
	ErrLeft = mesh.ErrLeft
	// ErrTimeout: nothing was heard of the peer for Liveness.Timeout. It hangs,
	// or its machine or the network between is gone.
	ErrTimeout = mesh.ErrTimeout
	// ErrRestarted: the peer's process has ended and another with the same ID
	// has taken its place.
	ErrRestarted = mesh.ErrRestarted
	// ErrReset: the peer's process has ended without a goodbye, or the network
	// has cut the connection.
	ErrReset = mesh.ErrReset
	// ErrReplaced: a newer connection to the same peer has taken its place.
	ErrReplaced = mesh.ErrReplaced
	// ErrSlow: the peer read too slowly, and Config.Queue says that such
	// connections are closed; or, in a private cluster, a deadline of writes has
	// passed while something was queued.
	ErrSlow = errors.New("the peer reads too slowly: its queue is full")
	// ErrClosed: one of the two programs has closed the connection, or this
	// node was closed. It is also what methods of a closed Node return.
	ErrClosed = mesh.ErrClosed
)

// Why a peer was not connected to: found in [Rejected] events and in [Status],
// perhaps wrapped.
var (
	// ErrDuplicateID: two living nodes use one ID.
	ErrDuplicateID = mesh.ErrDuplicateID
	// ErrRefused: the peer's program does not want this node. See Config.Admit.
	ErrRefused = mesh.ErrRefused
	// ErrNotAdmitted: Config.Admit of this node has refused the peer.
	ErrNotAdmitted = mesh.ErrNotAdmitted
	// ErrWrongName: the node at that address belongs to another cluster.
	ErrWrongName = mesh.ErrWrongName
	// ErrNotTCPNet: what listens at that address does not speak the protocol.
	ErrNotTCPNet = mesh.ErrNotTCPNet
	// ErrVersion: no version of the protocol in common.
	ErrVersion = mesh.ErrVersion
	// ErrPrivate: the node there is private and this one is open.
	ErrPrivate = mesh.ErrPrivate
	// ErrOpen: the node there is open and this one is private.
	ErrOpen = mesh.ErrOpen
	// ErrNoSecret: both nodes are private and have no secret in common.
	ErrNoSecret = mesh.ErrNoSecret
	// ErrCertificate: one of the two nodes finds the other's certificate not
	// valid. See Config.TLS.
	ErrCertificate = mesh.ErrCertificate
)

// Why a stream was not opened, perhaps wrapped. ErrTimeout, ErrClosed and others of
// the above can be, too.
var (
	// ErrNoPeer: no node of that ID or label is connected with this one.
	ErrNoPeer = mesh.ErrNoPeer
	// ErrAmbiguous: several nodes have the label. The error names their IDs.
	ErrAmbiguous = errors.New("several nodes have this label: use an ID")
	// ErrNoService: the peer's program does not listen for that service.
	ErrNoService = mesh.ErrNoService
	// ErrServiceBusy: too many streams wait for the peer's program to accept
	// them.
	ErrServiceBusy = mesh.ErrServiceBusy
	// ErrServiceInUse: this node's program listens for that service already.
	ErrServiceInUse = mesh.ErrServiceInUse
)

// ErrNotDelivered is returned by Shutdown, wrapped, if something that was written did not
// arrive. The error names the peers.
var ErrNotDelivered = errors.New("not everything that was written has arrived")

// ErrHandler is returned by Accept on a node that has a Handler.
var ErrHandler = errors.New("tcpnet: the node has a Handler, which gets all connections")
