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
//		Handler: func(c *tcpnet.Conn) { // for every peer, as it comes
//			fmt.Fprintln(c, "hello")
//			io.Copy(os.Stdout, c)
//		},
//	})
//	if err != nil {
//		return err
//	}
//	defer node.Close()
//
// A [Conn] is a [net.Conn] over a plain TCP socket that carries nothing but the
// program's bytes. Connections come by [Config.Handler] or [Node.Accept], and are
// listed by [Node.Connections]. A connection that ends, by whichever program or
// for whatever reason, is replaced by a new one, at first after a quarter of a second and
// less and less soon if none of them lasts 10 seconds: what is done once belongs on a
// stream. [Conn.Context] and [Left] events say why a connection has ended.
// [Node.Status] says who is connected, who is missing, and why.
//
// # What to do with the connections
//
// [Node.Broadcast] and [Conn.Send] send messages that nobody has to wait for: each
// peer has a queue of bounded memory, and what does not fit is told. Package message
// finds the ends of messages at the other side.
//
// [Node.Listen] and [Node.DialContext] open further connections by the name of a
// service and the label or ID of a peer, for everything that takes a net.Listener or
// dials a net.Conn: HTTP (package meshhttp), gRPC, net/rpc, ssh.
//
// [Node.Events] tells who comes, who goes and why, [Node.Status] how things are, and
// [Node.Stats] what has happened in numbers; package metrics gives these to Prometheus.
//
// # Networks
//
// Nodes find one another by mDNS. Where that does not reach, [Config.Seeds] or a name
// in the DNS (package discovery) lead to one node, which leads to all; with
// [Config.StateFile], peers once met are found again after a restart.
//
// # Strangers
//
// Without [Config.Secrets] or [Config.TLS] nothing is encrypted, and anyone on the
// network who knows the name can join. With one secret that all nodes share, made by
// tcpnet keygen, nobody else can join or read what is sent.
//
// All methods of [Node] and [Conn] are safe for concurrent use.
package tcpnet
