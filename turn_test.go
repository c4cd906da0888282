package tcpnet

import (
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func TestTurn(t *testing.T) {
	for _, test := range []struct {
		name string
		heed bool
		do   func(*turn)
		want error
	}{
		{"is given", true, func(u *turn) { u.give() }, nil},
		{"deadline passes", true, func(u *turn) { u.setDeadline(time.Now().Add(time.Second)) }, os.ErrDeadlineExceeded},
		{"deadline is in the past", true, func(u *turn) { u.setDeadline(time.Now().Add(-time.Second)) }, os.ErrDeadlineExceeded},
		{"deadline is not heeded", false, func(u *turn) {
			u.setDeadline(time.Now().Add(time.Second))
			time.Sleep(2 * time.Second)
			u.give()
		}, nil},
		{"deadline is taken back", true, func(u *turn) {
			u.setDeadline(time.Now().Add(time.Second))
			u.setDeadline(time.Time{})
			time.Sleep(2 * time.Second)
			u.give()
		}, nil},
		{"connection is closed", false, func(u *turn) { u.close() }, net.ErrClosed},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := turn{held: make(chan struct{}, 1)}
				if err := u.take(true); err != nil {
					t.Fatalf("a turn that is free: %v", err)
				}
				got := make(chan error)
				go func() { got <- u.take(test.heed) }()
				synctest.Wait()
				test.do(&u)
				if err := <-got; !errors.Is(err, test.want) {
					t.Errorf("waiting gave %v, want %v", err, test.want)
				}
			})
		})
	}
}
