package mesh

import (
	"crypto/tls"
	"fmt"
	"net/netip"

	"example.com/tcpnet/internal/link"
)

// Peer is what a node knows of one that it has a link to.
type Peer struct {
	ID      link.ID
	Label   string
	Meta    map[string]string
	Addr    netip.AddrPort       // the other end of the socket
	Version int                  // of the protocol spoken with it
	TLS     *tls.ConnectionState // nil in an open cluster
}

// Rejection tells of a peer that was not connected to.
type Rejection struct {
	Peer Peer // as far as it is known
	Err  error
}

func peerInfo(s *session) Peer {
	return Peer{
		ID:      s.hello.ID,
		Label:   s.hello.Label,
		Meta:    s.hello.Meta,
		Addr:    s.remote,
		Version: min(link.Version, int(s.hello.MaxVersion)),
		TLS:     s.tls,
	}
}

// rejectError is what the other side's REJECT means to the program.
func rejectError(m link.Reject) error {
	errs := map[link.Code]error{
		link.CodeDuplicate:   errDuplicate,
		link.CodeSelf:        errSelf,
		link.CodeWrongName:   ErrWrongName,
		link.CodeWrongNode:   ErrWrongNode,
		link.CodeDuplicateID: ErrDuplicateID,
		link.CodeRefused:     ErrRefused,
		link.CodeBusy:        ErrBusy,
		link.CodeVersion:     ErrVersion,
		link.CodeLeaving:     errLeaving,
		link.CodeOpen:        ErrOpen,
	}
	err, ok := errs[m.Code]
	if !ok {
		err = fmt.Errorf("%w: %v", ErrRefused, m.Code)
	}
	if m.Text != "" {
		err = fmt.Errorf("%w: %q", err, m.Text)
	}
	return err
}

// goodbyeError is what the other side's GOODBYE means to the program.
func goodbyeError(m link.Goodbye) error {
	switch m.Code {
	case link.CodeLeaving, link.CodeClosed:
		return ErrLeft
	case link.CodeTimeout:
		return fmt.Errorf("%w: it says that this node did not answer", ErrTimeout)
	case link.CodeReplaced:
		return ErrReplaced
	default:
		return ErrReset
	}
}
