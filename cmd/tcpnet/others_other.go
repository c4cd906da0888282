//go:build !unix

package main

import "io/fs"

// othersCanRead is not known: the mode of a file says nothing of who can read it.
func othersCanRead(fs.FileInfo) bool { return false }
