package mesh

import (
	"context"
	"errors"
	"fmt"
)

// askProgram lets Config.Admit have the last word on a peer.
func (m *Mesh) askProgram(p Peer) error {
	ctx, cancel := context.WithTimeout(m.ctx, handshakeTime)
	defer cancel()
	if err := m.cfg.Admit(ctx, p); err != nil {
		return &notAdmitted{err}
	}
	return nil
}

// notAdmitted wraps what Config.Admit returned, of which the other side is told
// the text.
type notAdmitted struct{ err error }

func (e *notAdmitted) Error() string { return fmt.Sprintf("%v: %v", ErrNotAdmitted, e.err) }

func (e *notAdmitted) Unwrap() []error { return []error{ErrNotAdmitted, e.err} }

// refusal returns the text of the program's refusal.
func refusal(err error) string {
	var n *notAdmitted
	if errors.As(err, &n) {
		return n.err.Error()
	}
	return ""
}
