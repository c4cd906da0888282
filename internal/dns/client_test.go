package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// asked is a question as a server has received it.
type asked struct {
	dnsmessage.Header
	q        dnsmessage.Question
	tcp      bool
	extended bool
}

// serve runs a server on loopback, which answers with packets that answer returns.
func serve(t *testing.T, answer func(asked) [][]byte) netip.AddrPort {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().(*net.TCPAddr).AddrPort()
	pc, err := net.ListenPacket("udp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	parse := func(b []byte, tcp bool) asked {
		var m dnsmessage.Message
		if err := m.Unpack(b); err != nil || len(m.Questions) != 1 {
			t.Errorf("a question that is none: %v", err)
			return asked{}
		}
		return asked{m.Header, m.Questions[0], tcp, len(m.Additionals) == 1}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			for _, b := range answer(parse(buf[:n], false)) {
				pc.WriteTo(b, from)
			}
		}
	})
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			var size [2]byte
			io.ReadFull(conn, size[:])
			b := make([]byte, binary.BigEndian.Uint16(size[:]))
			io.ReadFull(conn, b)
			for _, b := range answer(parse(b, true)) {
				conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
			}
			conn.Close()
		}
	})
	t.Cleanup(func() { pc.Close(); ln.Close(); wg.Wait() })
	return addr
}

func config(servers ...netip.AddrPort) *Config {
	c := For(servers...)
	c.Timeout, c.Attempts = 5*time.Second, 1
	return &c
}

func TestAQuestionIsAnswered(t *testing.T) {
	server := serve(t, func(a asked) [][]byte {
		if !a.RecursionDesired || !a.extended || a.tcp {
			t.Errorf("asked %+v", a)
		}
		if a.q.Type == dnsmessage.TypeA {
			return [][]byte{reply(t, a.Header, a.q, "n. 30 A 10.0.0.1")}
		}
		return [][]byte{reply(t, a.Header, a.q, "n. 20 AAAA fd00::1")}
	})
	got, err := config(server).Addrs(t.Context(), "n.")
	if err != nil || text(got) != "10.0.0.1 fd00::1 20s" {
		t.Errorf("%s, %v", text(got), err)
	}
}

// That there is no IPv6 address is no reason to ask for the IPv4 ones sooner.
func TestOneFamilyIsEnough(t *testing.T) {
	for _, fails := range []bool{false, true} {
		server := serve(t, func(a asked) [][]byte {
			switch {
			case a.q.Type == dnsmessage.TypeA:
				return [][]byte{reply(t, a.Header, a.q, "n. 30 A 10.0.0.1")}
			case fails:
				a.RCode = dnsmessage.RCodeServerFailure
			}
			return [][]byte{reply(t, a.Header, a.q, "authority", ". 5 SOA 5")}
		})
		got, err := config(server).Addrs(t.Context(), "n.")
		if err != nil || text(got) != "10.0.0.1 30s" {
			t.Errorf("the other one fails %v: %s, %v", fails, text(got), err)
		}
	}
}

// Packets from elsewhere, or for somebody else, do not keep the answer from coming.
func TestStrayPacketsAreSkipped(t *testing.T) {
	server := serve(t, func(a asked) [][]byte {
		other := a.Header
		other.ID++
		return [][]byte{
			{1, 2, 3}, reply(t, other, a.q, "n. 30 SRV evil.:1"),
			reply(t, a.Header, must(t, "m.", a.q.Type), "m. 30 SRV evil.:1"),
			reply(t, a.Header, a.q, "n. 30 SRV good.:1"),
		}
	})
	got, err := config(server).Services(t.Context(), "n.")
	if err != nil || text(got) != "good.:1[] 30s" {
		t.Errorf("%s, %v", text(got), err)
	}
}

func TestALargeAnswerComesByTCP(t *testing.T) {
	var many []string
	for range 3000 {
		many = append(many, "n. 30 A 10.0.0.1")
	}
	server := serve(t, func(a asked) [][]byte {
		if !a.tcp {
			a.Truncated = true
			return [][]byte{reply(t, a.Header, a.q)}
		}
		return [][]byte{reply(t, a.Header, a.q, many...)}
	})
	got, err := config(server).query(t.Context(), "n.", dnsmessage.TypeA)
	if err != nil || len(got.Addrs) != len(many) {
		t.Errorf("%d addresses, %v", len(got.Addrs), err)
	}
}

func TestAnOldServerIsAskedSimply(t *testing.T) {
	server := serve(t, func(a asked) [][]byte {
		if a.extended {
			a.RCode = dnsmessage.RCodeFormatError
			return [][]byte{reply(t, a.Header, a.q)}
		}
		return [][]byte{reply(t, a.Header, a.q, "n. 30 SRV good.:1")}
	})
	if got, err := config(server).Services(t.Context(), "n."); err != nil || len(got.Services) != 1 {
		t.Errorf("%s, %v", text(got), err)
	}
}

// A server that fails, is not there, or is silent leaves the question to the next.
func TestTheNextServerIsAsked(t *testing.T) {
	fails := serve(t, func(a asked) [][]byte {
		a.RCode = dnsmessage.RCodeRefused
		return [][]byte{reply(t, a.Header, a.q)}
	})
	silent := serve(t, func(asked) [][]byte { return nil })
	good := serve(t, func(a asked) [][]byte { return [][]byte{reply(t, a.Header, a.q, "n. 30 SRV good.:1")} })
	nobody, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := nobody.LocalAddr().(*net.UDPAddr).AddrPort()
	nobody.Close()
	c := config(gone, fails, silent, good)
	c.Timeout = 200 * time.Millisecond
	if got, err := c.Services(t.Context(), "n."); err != nil || len(got.Services) != 1 {
		t.Errorf("%s, %v", text(got), err)
	}
	c.Servers = []netip.AddrPort{fails, silent}
	_, err = c.Services(t.Context(), "n.")
	if err == nil || !strings.Contains(err.Error(), silent.String()) || !strings.Contains(err.Error(), "SRV of n.: no answer in time") {
		t.Errorf("nobody answers: %v", err)
	}
}

func TestAQuestionEndsWithItsContext(t *testing.T) {
	silent := serve(t, func(asked) [][]byte { return nil })
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	begin := time.Now()
	if _, err := config(silent, silent).Services(ctx, "n."); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
}
