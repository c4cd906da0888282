package tcpnet_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/tcpnet"
	"example.com/tcpnet/discovery"
)

// secret returns a new secret.
func secret(t testing.TB) []byte {
	t.Helper()
	b, err := tcpnet.ParseSecret(tcpnet.NewSecret())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// rejection waits until n tells of a node that it was not connected to, for this
// reason.
func rejection(t testing.TB, n *tcpnet.Node, why error) tcpnet.Rejected {
	t.Helper()
	for e := range n.Events(context20(t)) {
		if r, ok := e.(tcpnet.Rejected); ok {
			if errors.Is(r.Err, why) {
				return r
			}
			t.Logf("node %s has rejected %v: %v", n.ID(), r.Peer.Addr, r.Err)
		}
	}
	t.Fatalf("node %s has not reported %q\n%+v", n.ID(), why, n.Status())
	return tcpnet.Rejected{}
}

func TestPrivateNodesAreConnectedOverTLS(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		name, key := cluster(), secret(t)
		const count = 5
		var nodes []*tcpnet.Node
		for range count {
			nodes = append(nodes, join(t, tcpnet.Config{Name: name, Addr: addr, Secrets: [][]byte{key}}))
		}
		for _, n := range nodes {
			wait(t, n, count-1)
			st := n.Status()
			if !st.Private {
				t.Error("Status does not say that the cluster is private")
			}
			for _, p := range st.Peers {
				if p.TLS == nil || !p.TLS.DidResume && p.TLS.CurveID != tls.X25519MLKEM768 {
					t.Errorf("the link to %s: %+v", p.ID, p.TLS)
				}
			}
			for _, c := range n.Connections() {
				state := c.Peer().TLS
				switch {
				case state == nil:
					t.Errorf("%v is not encrypted", c)
				case state.Version != tls.VersionTLS13 || len(state.PeerCertificates) != 1:
					t.Errorf("%v: version %x, %d certificates", c, state.Version, len(state.PeerCertificates))
				case !state.DidResume:
					t.Errorf("%v has paid for a second full handshake", c)
				}
			}
		}
	}
}

func TestPrivateConnectionCarriesAllThatAnOpenOneDoes(t *testing.T) {
	name, key := cluster(), secret(t)
	a := join(t, tcpnet.Config{Name: name, Secrets: [][]byte{key}})
	b := join(t, tcpnet.Config{Name: name, Secrets: [][]byte{key}})
	ca, cb := accept(t, a), accept(t, b)
	text := strings.Repeat("through and through ", 1<<16)
	go func() {
		io.Copy(ca, strings.NewReader(text)) // ReadFrom
		ca.CloseWrite()
	}()
	var out strings.Builder
	if n, err := io.Copy(&out, cb); n != int64(len(text)) || err != nil || out.String() != text { // WriteTo
		t.Errorf("copied %d, %v", n, err)
	}
	// The other direction is open still.
	if _, err := io.WriteString(cb, "back"); err != nil {
		t.Error(err)
	}
	cb.Close()
	if got, err := io.ReadAll(ca); string(got) != "back" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	raw, err := ca.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(uintptr) {}); err != nil {
		t.Error(err)
	}
	if err := raw.Read(func(uintptr) bool { return true }); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("reading under TLS: %v", err)
	}
}

func TestShutdownOfAPrivateNodeIsToldAsLeft(t *testing.T) {
	name, key := cluster(), secret(t)
	a := join(t, tcpnet.Config{Name: name, Secrets: [][]byte{key}})
	b := join(t, tcpnet.Config{Name: name, Secrets: [][]byte{key}})
	ca, cb := accept(t, a), accept(t, b)
	fmt.Fprint(cb, "last words")
	down := make(chan error, 1)
	go func() { down <- b.Shutdown(context20(t)) }()
	if got, err := io.ReadAll(ca); err != nil || string(got) != "last words" {
		t.Errorf("read %q, %v", got, err)
	}
	ca.Close()
	if err := <-down; err != nil {
		t.Error(err)
	}
	<-ca.Context().Done()
	if cause := context.Cause(ca.Context()); !errors.Is(cause, tcpnet.ErrLeft) {
		t.Errorf("cause %v", cause)
	}
}

// Whichever dials, both report the other and are not connected.
func TestPrivateAndOpenNodesDoNotMix(t *testing.T) {
	none := []discovery.Discoverer{}
	for _, privateDials := range []bool{true, false} {
		t.Run(fmt.Sprintf("privateDials=%v", privateDials), func(t *testing.T) {
			name := cluster()
			open := tcpnet.Config{Name: name, Discovery: none}
			private := tcpnet.Config{Name: name, Discovery: none, Secrets: [][]byte{secret(t)}}
			var o, p *tcpnet.Node
			if privateDials {
				o = join(t, open)
				private.Seeds = []string{o.Addrs()[0].String()}
				p = join(t, private)
			} else {
				p = join(t, private)
				open.Seeds = []string{p.Addrs()[0].String()}
				o = join(t, open)
			}
			told := rejection(t, o, tcpnet.ErrPrivate)
			if !strings.Contains(told.Err.Error(), "give it the secret") || !told.Peer.Addr.IsValid() {
				t.Errorf("the open node is told %+v", told)
			}
			rejection(t, p, tcpnet.ErrOpen)
			if len(o.Connections())+len(p.Connections()) > 0 {
				t.Error("they are connected")
			}
			if callee := map[bool]*tcpnet.Node{true: o, false: p}[privateDials]; callee.Status().Strangers.Mixed == 0 {
				t.Errorf("strangers: %+v", callee.Status().Strangers)
			}
		})
	}
}

// By discovery they find one another as any nodes of one name do.
func TestPrivateAndOpenNodesOfOneNameReportEachOther(t *testing.T) {
	name := cluster()
	o := join(t, tcpnet.Config{Name: name})
	p := join(t, tcpnet.Config{Name: name, Secrets: [][]byte{secret(t)}})
	rejection(t, o, tcpnet.ErrPrivate)
	rejection(t, p, tcpnet.ErrOpen)
}

func TestWrongSecret(t *testing.T) {
	name := cluster()
	a := join(t, tcpnet.Config{Name: name, Label: "label-of-a", Secrets: [][]byte{secret(t)}})
	b := join(t, tcpnet.Config{Name: name, Label: "label-of-b", Secrets: [][]byte{secret(t)}})
	for _, n := range []*tcpnet.Node{a, b} {
		r := rejection(t, n, tcpnet.ErrNoSecret)
		if r.Peer.Label != "" || len(r.Peer.Meta) > 0 {
			t.Errorf("a stranger's HELLO was shown: %+v", r.Peer)
		}
	}
	if a.Status().Strangers.NoSecret+b.Status().Strangers.NoSecret == 0 {
		t.Error("nobody was counted")
	}
	if len(a.Connections())+len(b.Connections()) > 0 {
		t.Error("they are connected")
	}
}

// The name takes part in the proof.
func TestRightSecretAndWrongName(t *testing.T) {
	key, none := secret(t), []discovery.Discoverer{}
	a := join(t, tcpnet.Config{Name: cluster(), Discovery: none, Secrets: [][]byte{key}})
	b := join(t, tcpnet.Config{Name: cluster(), Discovery: none, Secrets: [][]byte{key}, Seeds: []string{a.Addrs()[0].String()}})
	rejection(t, b, tcpnet.ErrNoSecret)
}

func TestAdmitSeesTheStateOfTLS(t *testing.T) {
	name, key := cluster(), secret(t)
	var mu sync.Mutex
	var asked []tcpnet.PeerInfo
	refuse := func(_ context.Context, p tcpnet.PeerInfo) error {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, p)
		return errors.New("not on a Monday")
	}
	a := join(t, tcpnet.Config{Name: name, Secrets: [][]byte{key}, Admit: refuse})
	b := join(t, tcpnet.Config{Name: name, Secrets: [][]byte{key}, Label: "b"})
	if r := rejection(t, b, tcpnet.ErrRefused); !strings.Contains(r.Err.Error(), "not on a Monday") {
		t.Errorf("the reason was not told: %v", r.Err)
	}
	rejection(t, a, tcpnet.ErrNotAdmitted)
	mu.Lock()
	defer mu.Unlock()
	for _, p := range asked {
		if p.ID != b.ID() || p.Label != "b" || !p.Addr.IsValid() || p.TLS == nil || len(p.TLS.PeerCertificates) != 1 {
			t.Errorf("Admit was asked about %+v", p)
		}
	}
}

// A mesh of ten changes its secret while it runs, and nobody notices.
func TestSecretsAreChangedWhileTheClusterRuns(t *testing.T) {
	name, old, new := cluster(), secret(t), secret(t)
	const count = 10
	var nodes []*tcpnet.Node
	for range count {
		nodes = append(nodes, join(t, tcpnet.Config{Name: name, Secrets: [][]byte{old}}))
	}
	for _, n := range nodes {
		wait(t, n, count-1)
	}
	first := map[*tcpnet.Conn]bool{}
	for _, n := range nodes {
		for _, c := range n.Connections() {
			first[c] = true
		}
	}
	unchanged := func() {
		t.Helper()
		for _, n := range nodes[:count] {
			kept := 0
			for _, c := range n.Connections() {
				if first[c] {
					kept++
				}
			}
			if kept != count-1 {
				t.Errorf("node %s has kept %d of %d connections", n.ID(), kept, count-1)
			}
		}
	}
	// In the middle of it, newcomers get in with either.
	for i, n := range nodes {
		if err := n.SetSecrets(new, old); err != nil {
			t.Fatal(err)
		}
		if i == count/2 {
			for _, key := range [][]byte{old, new} {
				both := join(t, tcpnet.Config{Name: name, Secrets: [][]byte{key}})
				want := count
				if string(key) == string(new) {
					want = i + 1 // those that have it already
				}
				wait(t, both, want)
				both.Close()
			}
		}
	}
	unchanged()
	for _, n := range nodes {
		if err := n.SetSecrets(new); err != nil {
			t.Fatal(err)
		}
	}
	late := join(t, tcpnet.Config{Name: name, Secrets: [][]byte{new}})
	wait(t, late, count)
	outside := join(t, tcpnet.Config{Name: name, Secrets: [][]byte{old}})
	rejection(t, outside, tcpnet.ErrNoSecret)
	if len(outside.Connections()) > 0 {
		t.Error("a node with the old secret is connected")
	}
	unchanged()
}

// Who was kept out for want of the secret gets in soon after it was given it.
func TestSetSecretsLetsIn(t *testing.T) {
	name, key := cluster(), secret(t)
	a := join(t, tcpnet.Config{Name: name, Secrets: [][]byte{key}})
	b := join(t, tcpnet.Config{Name: name, Secrets: [][]byte{secret(t)}})
	rejection(t, b, tcpnet.ErrNoSecret)
	begin := time.Now()
	if err := b.SetSecrets(key); err != nil {
		t.Fatal(err)
	}
	wait(t, a, 1)
	if took := time.Since(begin); took > 10*time.Second { // the usual wait is 15 to 30 s
		t.Errorf("it took %v", took)
	}
}

// A member that knows none of the new secrets keeps its connection until that is
// closed, and gets no other, whoever of the two has dialled.
func TestAClosedConnectionDoesNotComeBackWithTheOldSecret(t *testing.T) {
	for _, ids := range [][2]tcpnet.ID{{"1", "2"}, {"2", "1"}} {
		t.Run("the one that stays is "+string(ids[0]), func(t *testing.T) {
			t.Parallel()
			name, old := cluster(), secret(t)
			stays := join(t, tcpnet.Config{Name: name, ID: ids[0], Secrets: [][]byte{old}})
			goes := join(t, tcpnet.Config{Name: name, ID: ids[1], Secrets: [][]byte{old}})
			wait(t, stays, 1)
			wait(t, goes, 1)
			if err := stays.SetSecrets(secret(t)); err != nil {
				t.Fatal(err)
			}
			stays.Connections()[0].Close()
			rejection(t, stays, tcpnet.ErrNoSecret)
			if len(stays.Connections()) > 0 {
				t.Error("the peer is back")
			}
		})
	}
}

func TestSetSecretsRefuses(t *testing.T) {
	open := join(t, tcpnet.Config{Name: cluster()})
	if err := open.SetSecrets(secret(t)); !errors.Is(err, tcpnet.ErrOpenCluster) {
		t.Errorf("an open node: %v", err)
	}
	private := join(t, tcpnet.Config{Name: cluster(), Secrets: [][]byte{secret(t)}})
	if err := private.SetSecrets(); err == nil {
		t.Error("no secret at all is taken")
	}
	if err := private.SetSecrets([]byte("hunter2")); err == nil || !strings.Contains(err.Error(), "keygen") {
		t.Errorf("a word: %v", err)
	}
}

// Nothing can be written to TLS after a write that a deadline has cut off: what Send
// keeps must not wait for ever.
func TestDeadlineWhileSendingInPrivate(t *testing.T) {
	name, secrets := cluster(), [][]byte{secret(t)}
	a := join(t, tcpnet.Config{Name: name, Secrets: secrets, Queue: roomy})
	b := join(t, tcpnet.Config{Name: name, Secrets: secrets})
	ca := accept(t, a)
	accept(t, b) // and does not read
	ca.Send(make([]byte, much))
	ca.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
	select {
	case <-ca.Context().Done():
		if cause := context.Cause(ca.Context()); !errors.Is(cause, tcpnet.ErrSlow) {
			t.Errorf("it has ended because %v", cause)
		}
	case <-time.After(patience):
		t.Errorf("%+v", a.Status().Peers)
	}
	accept(t, a) // another takes its place
}
