//go:build linux

package labtest

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

var long = flag.Bool("labtest.long", false, "run the tests that take minutes, too")

func TestMain(m *testing.M) {
	if settings := os.Getenv(settingsVariable); settings != "" {
		runNode(settings)
	}
	flag.Parse()
	if !given("test.parallel") {
		// Nodes wait most of the time: more labs fit on the machine than
		// it has processors.
		flag.Set("test.parallel", "4")
	}
	code := m.Run()
	if binaries != "" {
		os.RemoveAll(binaries)
	}
	os.Exit(code)
}

func given(name string) (yes bool) {
	flag.Visit(func(f *flag.Flag) { yes = yes || f.Name == name })
	return yes
}

// binaries is where the command was built, if it was.
var binaries string

// command returns the path of the real command.
func command(t *testing.T) string {
	t.Helper()
	path, err := buildCommand()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var buildCommand = sync.OnceValues(func() (string, error) {
	var err error
	if binaries, err = os.MkdirTemp("", "labtest"); err != nil {
		return "", err
	}
	path := filepath.Join(binaries, "tcpnet")
	args := []string{"build", "-o", path}
	if raceEnabled {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "example.com/tcpnet/cmd/tcpnet")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the command: %w\n%s", err, out)
	}
	return path, nil
})
