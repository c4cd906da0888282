package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// screen shows what happens in aligned columns: when, to whom, what. It is told by many
// processes, of some things later than of others that came after them, and so holds a
// line back for a while: the times that it shows are in order.
type screen struct {
	w      io.Writer
	colour bool
	width  int // of the longest name

	colours map[string]int
	held    []heldLine    // by time
	shown   time.Duration // the time of the last line
}

// heldLine is a line that is not shown yet.
type heldLine struct {
	after            time.Duration
	name, verb, text string
}

// holdBack is how long lines are held back.
const holdBack = 100 * time.Millisecond

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

// line takes one line of the table, which show shows.
func (s *screen) line(after time.Duration, name, verb, text string) {
	i := len(s.held)
	for i > 0 && s.held[i-1].after > after {
		i--
	}
	s.held = slices.Insert(s.held, i, heldLine{after, name, verb, text})
}

// show shows the lines up to a time. One that comes too late for its place has the time
// of those that it comes after.
func (s *screen) show(until time.Duration) {
	for len(s.held) > 0 && s.held[0].after <= until {
		s.shown = max(s.shown, s.held[0].after)
		s.write(s.shown, s.held[0])
		s.held = s.held[1:]
	}
}

// showAll shows all lines.
func (s *screen) showAll() {
	if n := len(s.held); n > 0 {
		s.show(s.held[n-1].after)
	}
}

func (s *screen) write(after time.Duration, l heldLine) {
	when := fmt.Sprintf("%.1f ms", float64(after)/float64(time.Millisecond))
	if after >= time.Second {
		when = fmt.Sprintf("%.3f s", after.Seconds())
	}
	pad := fmt.Sprintf("%*s", s.width-len(l.name), "")
	if l.name == "" {
		fmt.Fprintf(s.w, "%9s  %s\n", when, s.bold(l.text))
		return
	}
	fmt.Fprintf(s.w, "%9s  %s%s  %-6s  %s\n", when, s.paint(l.name), pad, l.verb, l.text)
}

// title shows a line that stands for itself, after all others.
func (s *screen) title(format string, args ...any) {
	s.showAll()
	fmt.Fprintln(s.w, s.bold(fmt.Sprintf(format, args...)))
}

func (s *screen) bold(text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[1m" + text + "\x1b[0m"
}
