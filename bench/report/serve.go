package report

import (
	"bufio"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
)

// Serve answers the harness's commands until r ends, which is how the harness asks
// the program to exit. A command is a line: its name and, perhaps, more words. The
// command "stat" is for the program's figures as they are, "trim" for the same after
// its garbage has been collected. The program brings its own beside these; each is
// carried out before the next is read.
func Serve(r io.Reader, w *Writer, own map[string]func(words string)) {
	for s := bufio.NewScanner(r); s.Scan(); {
		switch name, words, _ := strings.Cut(s.Text(), " "); name {
		case "stat":
		case "trim":
			debug.FreeOSMemory()
		default:
			if f := own[name]; f != nil {
				f(words)
			}
			continue
		}
		var m runtime.MemStats
		goroutines := runtime.NumGoroutine()
		runtime.ReadMemStats(&m)
		w.Now(Stat, "", fmt.Sprintf("goroutines=%d heap=%d stack=%d gc=%d", goroutines, m.HeapInuse, m.StackInuse, m.NumGC))
	}
}
