package tcpnet

import (
	"context"
	"crypto/rand"
	"io"
	"net"
	"net/netip"
	"os"

	"example.com/tcpnet/internal/mesh"
	"example.com/tcpnet/internal/netstack"
	"example.com/tcpnet/internal/netwatch"
)

// hostOf returns the host that a node joins from: the machine, unless a simulated
// network has put one of its own into ctx.
func hostOf(ctx context.Context) netstack.Host {
	if h, ok := netstack.From(ctx); ok {
		return h
	}
	return machine{}
}

// machine is the one that the process runs on.
type machine struct{}

func (machine) Hostname() string {
	name, _ := os.Hostname()
	return name
}

func (machine) Listen(ctx context.Context, hostport string) ([]net.Listener, error) {
	return mesh.Listen(ctx, hostport)
}

func (machine) Dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	return mesh.Dial(ctx, addr)
}

func (machine) Resolve(ctx context.Context, hostport string) ([]netip.AddrPort, error) {
	return mesh.Resolve(ctx, hostport)
}

func (machine) Interfaces() (netwatch.State, error) { return netwatch.Current() }

func (machine) Watch(changed func(netwatch.Event)) (cancel func()) {
	return netwatch.Subscribe(changed)
}

func (machine) Random() io.Reader { return rand.Reader }

func (machine) Started(io.Closer) {}

func (machine) Dead() bool { return false }
