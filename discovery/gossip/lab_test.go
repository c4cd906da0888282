//go:build linux

package gossip_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"example.com/tcpnet"
	"example.com/tcpnet/discovery"
	"example.com/tcpnet/discovery/gossip"
	"example.com/tcpnet/internal/lab"
)

// memberVariable makes the test binary a member: its address, that of another one or
// nothing, and the cluster's name.
const memberVariable = "TCPNET_GOSSIP_MEMBER"

// runMember is a program whose machine runs memberlist. It prints whom it is connected
// with. It reports false if this process is not one.
func runMember() bool {
	f := strings.Fields(os.Getenv(memberVariable))
	if len(f) == 0 {
		return false
	}
	cfg := memberlist.DefaultLANConfig()
	cfg.Name, cfg.BindAddr, cfg.LogOutput = f[0], f[0], os.Stderr
	list, d, err := gossip.Create(cfg)
	if err == nil && len(f) > 2 {
		_, err = list.Join(f[2:])
	}
	if err != nil {
		panic(err)
	}
	node, err := tcpnet.Join(context.Background(), tcpnet.Config{
		Name: f[1], Label: f[0], Discovery: []discovery.Discoverer{d},
	})
	if err != nil {
		panic(err)
	}
	fmt.Println("ready")
	for e := range node.Events(context.Background()) {
		if e, ok := e.(tcpnet.Joined); ok {
			fmt.Println("joined", e.Conn.Peer().Label)
		}
	}
	return true
}

// Members in two subnets, with nothing between them but a router, become one mesh.
func TestMembersOfTwoSubnetsBecomeAMesh(t *testing.T) {
	lab.Require(t)
	l := lab.New(t)
	east, west := l.Switch("east"), l.Switch("west")
	router := l.Host("router", east, west, lab.Router)
	hosts := []*lab.Host{
		l.Host("east1", east, lab.NoDAD), l.Host("east2", east, lab.NoDAD),
		l.Host("west1", west, lab.NoDAD), l.Host("west2", west, lab.NoDAD),
	}
	router.Gateway(hosts...)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name := cluster()
	met := make(chan [2]string, 1000)
	for i, h := range hosts {
		cmd := exec.Command(self)
		settings := h.Addr().String() + " " + name
		if i > 0 {
			settings += " " + hosts[0].Addr().String()
		}
		cmd.Env = append(os.Environ(), memberVariable+"="+settings)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		h.Start(cmd)
		lines := bufio.NewScanner(out)
		if !lines.Scan() { // it is ready, and its member can be joined
			t.Fatalf("the member on %s has ended", h.Name)
		}
		go func() {
			for lines.Scan() {
				met <- [2]string{h.Addr().String(), strings.TrimPrefix(lines.Text(), "joined ")}
			}
		}()
	}
	seen := map[[2]string]bool{}
	for timeout := time.After(patience); len(seen) < len(hosts)*(len(hosts)-1); {
		select {
		case pair := <-met:
			seen[pair] = true
		case <-timeout:
			t.Fatalf("connected: %v", seen)
		}
	}
}
