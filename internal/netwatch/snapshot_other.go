//go:build !linux

package netwatch

func snapshot() (State, error) { return portableSnapshot() }
