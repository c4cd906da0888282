//go:build linux

package lab_test

import (
	"fmt"
	"os"
	"os/exec"
	"time"

	"example.com/tcpnet/internal/lab"
)

// A program that is no test measures how much multicast DNS ten hosts send.
func ExampleRun() {
	err := lab.Run(func(t lab.T) {
		l := lab.New(t)
		lan := l.Switch("lan")
		mdns := lan.Count("udp dport 5353")
		for i := range 10 {
			h := l.Host(fmt.Sprint("host", i), lan, lab.NoDAD)
			h.Start(exec.Command("tcpnet", "join", "demo"))
		}
		l.Loss(20)
		time.Sleep(time.Minute)
		frames, _ := mdns.Read()
		fmt.Println(frames, "packets a minute")
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}
