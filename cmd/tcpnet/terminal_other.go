//go:build !windows

package main

import "os"

// enableColour makes the terminal f obey escape sequences, and reports whether it
// does.
func enableColour(*os.File) bool { return true }
