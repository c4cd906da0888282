//go:build !race

package tcpnettest

const defaultSchedules = 200
