package netwatch

import (
	"fmt"
	"sync"

	"golang.org/x/sys/windows"
)

// listeners are the channels of the watches. Windows calls one function for
// all of them: functions that it can call are never given back, so that a
// process may not make one per watch.
var listeners struct {
	mu sync.Mutex // guards all
	m  map[chan<- struct{}]struct{}
}

// onChange is PUNICAST_IPADDRESS_CHANGE_CALLBACK and, with a row of another
// type, PIPINTERFACE_CHANGE_CALLBACK.
var onChange = sync.OnceValue(func() uintptr {
	return windows.NewCallback(func(context, row, kind uintptr) uintptr {
		listeners.mu.Lock()
		defer listeners.mu.Unlock()
		for c := range listeners.m {
			select {
			case c <- struct{}{}:
			default: // there is one that was not received yet
			}
		}
		return 0
	})
})

// notify asks the IP helper to call when interfaces or addresses change.
//
// This file is compiled and vetted for Windows and has not been run on it.
func notify() (changes <-chan struct{}, stop func(), err error) {
	c := make(chan struct{}, 1)
	listeners.mu.Lock()
	if listeners.m == nil {
		listeners.m = make(map[chan<- struct{}]struct{})
	}
	listeners.m[c] = struct{}{}
	listeners.mu.Unlock()

	var handles []windows.Handle
	stop = func() {
		// Not while holding the mutex: a cancellation waits for calls that
		// are in progress.
		for _, h := range handles {
			windows.CancelMibChangeNotify2(h)
		}
		listeners.mu.Lock()
		delete(listeners.m, c)
		listeners.mu.Unlock()
	}
	var h windows.Handle
	if err := windows.NotifyUnicastIpAddressChange(windows.AF_UNSPEC, onChange(), nil, false, &h); err != nil {
		stop()
		return nil, nil, fmt.Errorf("NotifyUnicastIpAddressChange: %w", err)
	}
	handles = append(handles, h)
	if err := windows.NotifyIpInterfaceChange(windows.AF_UNSPEC, onChange(), nil, false, &h); err != nil {
		stop()
		return nil, nil, fmt.Errorf("NotifyIpInterfaceChange: %w", err)
	}
	handles = append(handles, h)
	return c, stop, nil
}
