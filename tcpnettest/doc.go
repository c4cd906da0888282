// Package tcpnettest is a local network in memory, on which the nodes of package
// tcpnet run in virtual time: to test how a program fares when cables are pulled,
// machines crash and networks fall apart, in milliseconds and without a network.
//
//	func TestPartition(t *testing.T) {
//		tcpnettest.Run(t, func(t *testing.T, lan *tcpnettest.LAN) {
//			hosts := lan.Hosts(10)
//			var nodes []*tcpnet.Node
//			for _, h := range hosts {
//				nodes = append(nodes, h.Join(tcpnet.Config{}))
//			}
//			lan.Partition(hosts[:5], hosts[5:])
//			time.Sleep(time.Minute) // takes no time
//			...
//		})
//	}
//
// The nodes are real: only sockets, interfaces and the machine's name are simulated.
// A program that calls [tcpnet.Join] itself takes part if it passes on a context of
// [Host.Context]. It may use time, channels and all else that [testing/synctest] knows
// of; what waits for anything outside, such as a real socket or another process,
// keeps virtual time from going on. Real names are worse: to look one up, as an
// [net/http.Transport] does for hosts that are not of the cluster, may crash the test
// binary, because Go's resolver is not made for [testing/synctest].
//
// # What is simulated
//
// A [LAN] has hosts on one or more switches, each with conditions of its own:
// latency, jitter, loss, bandwidth. Between hosts there can be firewalls, cuts and
// partitions, also in one direction ([LAN.Set], [LAN.Partition]). Interfaces and
// addresses come, go and change. Hosts freeze, sleep, crash and lose power.
//
// TCP has handshakes, retransmission with growing time-outs, windows, half-close,
// resets and keep-alive, with the figures of Linux. A connection to a host without
// power stays half-open, a host that has rebooted resets it, a writer blocks when the
// reader does not read.
//
// # What is not
//
// There are no routers, no congestion control, and no costs of computing: everything
// that a program does takes no time. A process that is frozen does not read, write,
// dial or accept, but its timers go off: nothing but the process's own
// clock tells it from one that is cut off. The wall clock does not jump when a machine
// sleeps; its nodes are told of the sleep as they would be.
//
// # One seed, one run
//
// All delays, losses, IDs and back-offs come from the seed ([RunSeed]). Events happen
// one at a time: the next one only when all that the last one has brought about is
// over. So what one seed does it mostly does again, to the moment of every packet,
// but not always. There is a rest of chance: the order of goroutines of one process
// that become ready at the same instant, of timers of one instant, of select
// statements with several choices, and of a program's own maps. [LAN.Fingerprint]
// tells whether two runs were the same.
package tcpnettest
