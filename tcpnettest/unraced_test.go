//go:build !race

package tcpnettest

const defaultSchedules = 200

const shuffled = false
