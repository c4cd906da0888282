//go:build race

package mesh

// raced is set under the race detector.
const raced = true
