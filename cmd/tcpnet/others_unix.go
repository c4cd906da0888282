//go:build unix

package main

import "io/fs"

// othersCanRead reports whether a file can be read by anybody but its owner.
func othersCanRead(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 != 0 }
