package tcpnet_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/tcpnet"
	"example.com/tcpnet/discovery"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestJoinTellsWhatIsWrong(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	long := strings.Repeat("x", 300)
	for _, test := range []struct {
		why  string
		ctx  context.Context
		cfg  tcpnet.Config
		want string
	}{
		{"no name", nil, tcpnet.Config{}, "Config.Name is empty"},
		{"long name", nil, tcpnet.Config{Name: long}, "at most 255"},
		{"name not UTF-8", nil, tcpnet.Config{Name: "\xff"}, "not valid UTF-8"},
		{"label not UTF-8", nil, tcpnet.Config{Name: "x", Label: "\xff"}, "Label is not valid UTF-8"},
		{"meta not UTF-8", nil, tcpnet.Config{Name: "x", Meta: map[string]string{"k": "\xff"}}, "Meta: \"k\" is not valid UTF-8"},
		{"ID not hexadecimal", nil, tcpnet.Config{Name: "x", ID: "12G4"}, `character 3 is not a hexadecimal digit`},
		{"long label", nil, tcpnet.Config{Name: "x", Label: long}, "Config.Label"},
		{"large meta", nil, tcpnet.Config{Name: "x", Meta: map[string]string{"k": strings.Repeat("v", 2048)}}, "Config.Meta"},
		{"port out of range", nil, tcpnet.Config{Name: "x", Addr: "127.0.0.1:65536"}, "0 to 65535"},
		{"no port", nil, tcpnet.Config{Name: "x", Addr: "127.0.0.1"}, "host:port"},
		{"host does not resolve", nil, tcpnet.Config{Name: "x", Addr: "no..host:0"}, "no..host"},
		{"address not this machine's", nil, tcpnet.Config{Name: "x", Addr: "192.0.2.1:0"}, "192.0.2.1"},
		{"port taken", nil, tcpnet.Config{Name: "x", Addr: taken.Addr().String()}, "address already in use"},
		{"bad seed", nil, tcpnet.Config{Name: "x", Seeds: []string{"host"}}, "Config.Seeds"},
		{"seed with a service", nil, tcpnet.Config{Name: "x", Seeds: []string{"host:http"}}, "Config.Seeds"},
		{"seed without a port", nil, tcpnet.Config{Name: "x", Seeds: []string{"host:0"}}, "Config.Seeds"},
		{"seed without a host", nil, tcpnet.Config{Name: "x", Seeds: []string{":1"}}, "Config.Seeds"},
		{"no discoverer", nil, tcpnet.Config{Name: "x", Discovery: []discovery.Discoverer{nil}}, "Config.Discovery"},
		{"liveness", nil, tcpnet.Config{Name: "x", Liveness: tcpnet.Liveness{Interval: time.Second, Timeout: time.Second}}, "Config.Liveness"},
		{"limits", nil, tcpnet.Config{Name: "x", Limits: tcpnet.Limits{Dials: -1}}, "Config.Limits"},
		{"queue", nil, tcpnet.Config{Name: "x", Queue: tcpnet.Queue{Size: -1}}, "Config.Queue"},
		{"cancelled", canceled, tcpnet.Config{Name: "x", Addr: "127.0.0.1:0"}, "context canceled"},
	} {
		t.Run(test.why, func(t *testing.T) {
			ctx := test.ctx
			if ctx == nil {
				ctx = context20(t)
			}
			n, err := tcpnet.Join(ctx, test.cfg)
			if err == nil {
				n.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q does not say %q", err, test.want)
			}
		})
	}
}

func TestLoopbackInEveryForm(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0", "localhost:0"} {
		t.Run(addr, func(t *testing.T) {
			name := cluster()
			a := join(t, tcpnet.Config{Name: name, Addr: addr})
			b := join(t, tcpnet.Config{Name: name, Addr: addr})
			wait(t, a, 1)
			wait(t, b, 1)
			for _, ap := range a.Addrs() {
				if !ap.Addr().IsLoopback() {
					t.Errorf("a node on %s can be reached at %v", addr, ap)
				}
			}
		})
	}
}

func TestLoopbackFamiliesMix(t *testing.T) {
	name := cluster()
	a := join(t, tcpnet.Config{Name: name, Addr: "127.0.0.1:0"})
	b := join(t, tcpnet.Config{Name: name, Addr: "[::1]:0"})
	c := join(t, tcpnet.Config{Name: name, Addr: "localhost:0"})
	for _, n := range []*tcpnet.Node{a, b, c} {
		wait(t, n, 2)
	}
}

func TestAnyNameWillDo(t *testing.T) {
	for _, name := range []string{
		"Größe & Gewicht " + cluster(),
		strings.Repeat("long ", 30) + cluster(),
		"under_score_" + cluster(),
	} {
		t.Run(name, func(t *testing.T) {
			a := join(t, tcpnet.Config{Name: name})
			b := join(t, tcpnet.Config{Name: name})
			wait(t, a, 1)
			wait(t, b, 1)
		})
	}
}

func TestIDsOfAnyLength(t *testing.T) {
	name := cluster()
	a := join(t, tcpnet.Config{Name: name, ID: "a"})
	b := join(t, tcpnet.Config{Name: name, ID: "0A"})
	c := join(t, tcpnet.Config{Name: name, ID: tcpnet.ID(strings.Repeat("F", 128))})
	for _, n := range []*tcpnet.Node{a, b, c} {
		wait(t, n, 2)
	}
	if a.ID() != "A" || a.ID().Compare(b.ID()) >= 0 || b.ID().Compare(c.ID()) >= 0 {
		t.Errorf("order of %s, %s, %s", a.ID(), b.ID(), c.ID())
	}
}

func TestOneSeedFindsAll(t *testing.T) {
	name := cluster()
	none := []discovery.Discoverer{} // no multicast
	first := join(t, tcpnet.Config{Name: name, Discovery: none})
	nodes := []*tcpnet.Node{first}
	for range 4 {
		nodes = append(nodes, join(t, tcpnet.Config{
			Name: name, Discovery: none, Seeds: []string{first.Addrs()[0].String()},
		}))
	}
	for _, n := range nodes {
		wait(t, n, len(nodes)-1)
	}
}

func TestSeedThatComesLater(t *testing.T) {
	name := cluster()
	none := []discovery.Discoverer{}
	reserve, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := reserve.Addr().String()
	reserve.Close()
	a := join(t, tcpnet.Config{Name: name, Discovery: none, Seeds: []string{addr}})
	// The first attempt fails before the seed is there.
	for st := a.Status(); st.Seeds[0].Error == ""; st = a.Status() {
		time.Sleep(time.Millisecond)
	}
	b := join(t, tcpnet.Config{Name: name, Discovery: none, Addr: addr})
	wait(t, a, 1)
	wait(t, b, 1)
}

func TestCloseAtAnyMoment(t *testing.T) {
	name := cluster()
	for i := range 20 {
		n := join(t, tcpnet.Config{Name: name})
		if i%2 == 0 {
			join(t, tcpnet.Config{Name: name})
		}
		if i%3 == 0 {
			go n.Close()
			if err := n.Shutdown(context20(t)); err != nil && !errors.Is(err, tcpnet.ErrClosed) {
				t.Error(err)
			}
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		if err := n.Shutdown(context20(t)); err != nil {
			t.Error(err)
		}
		<-n.Done()
	}
}
