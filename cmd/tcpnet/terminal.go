package main

import "os"

// isTerminal reports whether a person may be looking at f.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// wantsColour reports whether f is a terminal whose user has not asked for plain
// text (https://no-color.org).
func wantsColour(f *os.File) bool {
	return isTerminal(f) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && enableColour(f)
}
