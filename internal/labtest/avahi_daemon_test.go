//go:build linux

package labtest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/tcpnet/internal/lab"
)

// avahi is an avahi-daemon of a host's own, with a D-Bus of its own.
type avahi struct {
	t    *testing.T
	host *lab.Host
	bus  string // the D-Bus address
}

const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=%s</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow receive_sender="*" eavesdrop="true"/>
  </policy>
</busconfig>
`

const daemonConfig = `[server]
host-name=%s
use-ipv4=yes
use-ipv6=yes
[publish]
publish-hinfo=no
publish-workstation=no
`

// startAvahi starts Avahi on a host. It is ready when startAvahi returns.
func startAvahi(t *testing.T, h *lab.Host) *avahi {
	t.Helper()
	for _, name := range []string{"avahi-daemon", "avahi-browse", "avahi-publish", "dbus-daemon", "unshare"} {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("install avahi-daemon, avahi-utils and dbus: %v", err)
			}
			t.Skipf("install avahi-daemon, avahi-utils and dbus: %v", err)
		}
	}
	// A short path: that of a socket has at most 107 bytes.
	dir, err := os.MkdirTemp("", "avahi")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	socket := filepath.Join(dir, "bus")
	a := &avahi{t: t, host: h, bus: "unix:path=" + socket}
	h.Start(a.command("dbus-daemon", "--nofork", "--nopidfile", "--config-file="+write("bus.conf", fmt.Sprintf(busConfig, socket))))
	eventually(t, "dbus-daemon listens", func() error {
		_, err := os.Stat(socket)
		return err
	})
	// The daemon's PID file and socket have a fixed place, of which each
	// daemon is given its own.
	daemon := a.command("unshare", "--mount", "sh", "-c",
		`mount -t tmpfs none /run && exec avahi-daemon --no-drop-root --no-chroot --no-rlimits --no-proc-title -f "$0"`,
		write("avahi.conf", fmt.Sprintf(daemonConfig, h.Name)))
	var log buffer
	daemon.Stdout, daemon.Stderr = &log, &log
	h.Start(daemon)
	eventually(t, "avahi-daemon runs", func() error {
		if !strings.Contains(log.String(), "Server startup complete") {
			return fmt.Errorf("%s", log.String())
		}
		return nil
	})
	return a
}

// command returns a command that uses the daemon.
func (a *avahi) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+a.bus, "LC_ALL=C")
	return cmd
}

// publish publishes a service until the end of the test.
func (a *avahi) publish(name, service string, port uint16, txt ...string) {
	a.t.Helper()
	cmd := a.command("avahi-publish", append([]string{"-s", name, service, fmt.Sprint(port)}, txt...)...)
	var out buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	a.host.Start(cmd)
	eventually(a.t, "the service is published", func() error {
		if !strings.Contains(out.String(), "Established") {
			return fmt.Errorf("%s", out.String())
		}
		return nil
	})
}

// A resolved service, as avahi-browse prints it.
type resolved struct{ iface, family, name, service, domain, host, address, port, txt string }

// browse returns what avahi-browse finds of a type and resolves.
func (a *avahi) browse(service string) (found []resolved) {
	a.t.Helper()
	var out buffer
	cmd := a.command("avahi-browse", "--resolve", "--parsable", "--terminate", service)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := a.host.Start(cmd).Wait(); err != nil {
		a.t.Fatalf("avahi-browse: %v\n%s", err, out.String())
	}
	for line := range strings.Lines(out.String()) {
		if f := strings.SplitN(strings.TrimSpace(line), ";", 10); len(f) == 10 && f[0] == "=" {
			found = append(found, resolved{f[1], f[2], f[3], f[4], f[5], f[6], f[7], f[8], f[9]})
		}
	}
	return found
}

// watch runs avahi-browse on, and returns what it has printed so far.
func (a *avahi) watch(service string) (printed func() string) {
	a.t.Helper()
	var out buffer
	cmd := a.command("avahi-browse", "--parsable", service)
	cmd.Stdout = &out
	cmd.Stderr = io.Discard
	a.host.Start(cmd)
	return out.String
}

// buffer is what a process has written so far.
type buffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// eventually waits for what nobody tells of.
func eventually(t *testing.T, what string, is func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = is(); err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}
