//go:build !darwin && !dragonfly && !freebsd && !linux && !netbsd && !openbsd && !windows

package netwatch

import "errors"

// notify has nothing to offer here: the network is polled.
func notify() (changes <-chan struct{}, stop func(), err error) {
	return nil, nil, errors.ErrUnsupported
}
