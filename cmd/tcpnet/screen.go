package main

import (
	"fmt"
	"io"
	"time"
)

// screen shows what happens in aligned columns: when, to whom, what.
type screen struct {
	w      io.Writer
	colour bool
	width  int // of the longest name

	colours map[string]int
}

// palette has the ANSI colours of nodes: all that can be read on black and white.
var palette = []int{36, 35, 32, 34, 33, 31, 96, 95, 92, 94, 93, 91}

// paint returns a name in its own colour.
func (s *screen) paint(name string) string {
	if !s.colour {
		return name
	}
	if s.colours == nil {
		s.colours = make(map[string]int)
	}
	c, ok := s.colours[name]
	if !ok {
		c = palette[len(s.colours)%len(palette)]
		s.colours[name] = c
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", c, name)
}

// line shows one line of the table.
func (s *screen) line(after time.Duration, name, verb, text string) {
	when := fmt.Sprintf("%.1f ms", float64(after)/float64(time.Millisecond))
	if after >= time.Second {
		when = fmt.Sprintf("%.3f s", after.Seconds())
	}
	pad := fmt.Sprintf("%*s", s.width-len(name), "")
	if name == "" {
		fmt.Fprintf(s.w, "%9s  %s\n", when, s.bold(text))
		return
	}
	fmt.Fprintf(s.w, "%9s  %s%s  %-6s  %s\n", when, s.paint(name), pad, verb, text)
}

// title shows a line that stands for itself.
func (s *screen) title(format string, args ...any) {
	fmt.Fprintln(s.w, s.bold(fmt.Sprintf(format, args...)))
}

func (s *screen) bold(text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[1m" + text + "\x1b[0m"
}
