package netwatch

import (
	"os"
	"testing"
)

// openFiles counts the open files of the process.
func openFiles(t *testing.T) int {
	t.Helper()
	f, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(f)
}
