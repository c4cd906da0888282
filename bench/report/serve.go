package report

import (
	"bufio"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// Serve answers the harness's commands until r ends, which is how the harness
// asks the program to exit. The command "stat" is for the program's figures as
// they are, "trim" for the same after its garbage has been collected.
func Serve(r io.Reader, w *Writer) {
	for s := bufio.NewScanner(r); s.Scan(); {
		switch s.Text() {
		case "stat":
		case "trim":
			debug.FreeOSMemory()
		default:
			continue
		}
		var m runtime.MemStats
		goroutines := runtime.NumGoroutine()
		runtime.ReadMemStats(&m)
		w.Now(Stat, "", fmt.Sprintf("goroutines=%d heap=%d stack=%d gc=%d", goroutines, m.HeapInuse, m.StackInuse, m.NumGC))
	}
}
