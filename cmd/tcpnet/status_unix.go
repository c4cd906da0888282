//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// onStatusSignal calls print at every SIGUSR1 until stop is called.
func onStatusSignal(print func()) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	go func() {
		for range signals {
			print()
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
	}
}
