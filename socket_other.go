//go:build !linux

package tcpnet

import "net"

// systemTells says that systemFacts knows nothing.
const systemTells = false

// systemFacts asks the system about a socket. What other systems know is not asked for.
func systemFacts(net.Conn) facts { return facts{} }
