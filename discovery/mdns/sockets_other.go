//go:build !linux && !darwin && !freebsd && !openbsd && !netbsd && !dragonfly && !windows

package mdns

import (
	"errors"
	"fmt"
)

func openSockets(uint16, func(Packet)) (Transport, error) {
	return nil, fmt.Errorf("multicast on this system: %w", errors.ErrUnsupported)
}
