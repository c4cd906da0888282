//go:build linux

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// namespace is a network namespace. It has no name: this file, the socket and
// the processes in it keep it alive.
type namespace struct {
	file   *os.File
	socket int // for ioctls that ask for and change its interfaces
}

// newNamespace makes a namespace and sets its sysctls, which are given as paths
// below /proc/sys.
func newNamespace(sysctls map[string]string) (*namespace, error) {
	var n *namespace
	failed := make(chan error)
	go func() {
		// The thread ends with this goroutine: it is never unlocked.
		runtime.LockOSThread()
		failed <- func() error {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("new network namespace: %w", err)
			}
			f, err := os.Open(threadNamespace)
			if err != nil {
				return err
			}
			socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				f.Close()
				return os.NewSyscallError("socket", err)
			}
			n = &namespace{f, socket}
			for path, value := range sysctls {
				if err := os.WriteFile(filepath.Join("/proc/sys", path), []byte(value), 0); err != nil {
					n.close()
					return err
				}
			}
			return nil
		}()
	}()
	err := <-failed
	return n, err
}

const threadNamespace = "/proc/thread-self/ns/net"

// enter moves the calling thread, which must be locked, into the namespace.
func (n *namespace) enter() error { return enter(n.file) }

func enter(namespace *os.File) error {
	if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace: %w", err)
	}
	return nil
}

// do calls f on a thread in the namespace.
func (n *namespace) do(f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open(threadNamespace)
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() {
		// A thread that cannot go home is not given back.
		if enter(home) == nil {
			runtime.UnlockOSThread()
		}
		home.Close()
	}()
	if err := n.enter(); err != nil {
		return err
	}
	return f()
}

func (n *namespace) close() {
	n.file.Close()
	unix.Close(n.socket)
}
