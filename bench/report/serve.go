package report

import (
	"bufio"
	"fmt"
	"io"
	"runtime"
)

// Serve answers the harness's commands until r ends, which is how the harness
// asks the program to exit. There is one command, "stat".
func Serve(r io.Reader, w *Writer) {
	for s := bufio.NewScanner(r); s.Scan(); {
		if s.Text() != "stat" {
			continue
		}
		var m runtime.MemStats
		goroutines := runtime.NumGoroutine()
		runtime.ReadMemStats(&m)
		w.Now(Stat, "", fmt.Sprintf("goroutines=%d heap=%d stack=%d gc=%d", goroutines, m.HeapInuse, m.StackInuse, m.NumGC))
	}
}
