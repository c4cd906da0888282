// Package tcpnet connects programs that share a name.
//
// Nodes with the same [Config.Name] find one another on the local network without
// configuration and keep a full mesh: every node has exactly one live TCP
// connection to every other, whoever dialled, repaired for as long as both run.
// There is no server and no coordinator, and nothing outside the local network is
// contacted.
//
//	node, err := tcpnet.Join(ctx, tcpnet.Config{
//		Name:    "my-cluster",
//		Handler: func(c *tcpnet.Conn) { io.Copy(os.Stdout, c) },
//	})
//	if err != nil {
//		return err
//	}
//	defer node.Close()
//	for _, c := range node.Connections() {
//		fmt.Fprintln(c, "hello from", node.ID())
//	}
//
// A [Conn] is a [net.Conn] over a plain TCP socket that carries nothing but the
// program's bytes. Connections come by [Config.Handler] or [Node.Accept], and are
// listed by [Node.Connections]. A connection that ends, by whichever program or
// for whatever reason, is replaced by a new one after a short wait; [Conn.Context]
// and [Left] events say why it ended. [Node.Status] says who is connected, who is
// missing, and why.
//
// The connections are not encrypted and anyone on the network who knows the name
// can join: use tcpnet on networks you trust.
//
// All methods of [Node] and [Conn] are safe for concurrent use.
package tcpnet
