package link

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

var aRequest = StreamRequest{
	Mode: StreamOpen, From: "A1", To: "0B", Nonce: Nonce{7, 8}, Service: "печать", Proof: Proof{9},
}

func TestStreamRequestArrivesAndNothingBehindItIsRead(t *testing.T) {
	b := AppendStreamRequest(nil, &aRequest)
	in := strings.NewReader(string(b) + "the program's")
	r, err := ReadStreamRequest(iotest.OneByteReader(in))
	if err != nil || *r != aRequest {
		t.Fatalf("%+v became %+v, %v", aRequest, r, err)
	}
	if rest, _ := io.ReadAll(in); string(rest) != "the program's" {
		t.Errorf("%q is left", rest)
	}
	for n := range b {
		if _, err := ReadStreamRequest(bytes.NewReader(b[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes of %d: %v", n, len(b), err)
		}
	}
}

func TestStreamRequestThatIsNone(t *testing.T) {
	for name, bad := range map[string]func(r *StreamRequest){
		"mode":         func(r *StreamRequest) { r.Mode = 'X' },
		"no sender":    func(r *StreamRequest) { r.From = "" },
		"no target":    func(r *StreamRequest) { r.To = "" },
		"no service":   func(r *StreamRequest) { r.Service = "" },
		"not an ID":    func(r *StreamRequest) { r.From = "XY" },
		"long ID":      func(r *StreamRequest) { r.To = ID(strings.Repeat("A", MaxIDLen+1)) },
		"not a name":   func(r *StreamRequest) { r.Service = "\xff" },
		"target no ID": func(r *StreamRequest) { r.To = "-" },
	} {
		r := aRequest
		bad(&r)
		if _, err := ReadStreamRequest(bytes.NewReader(AppendStreamRequest(nil, &r))); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The proofs are those of PROTOCOL.md section 12.1.
func TestStreamProofs(t *testing.T) {
	s := Secret{1}
	n, c := Nonce{2}, Nonce{3}
	sum := func(text string) string {
		m := hmac.New(sha256.New, s[:])
		m.Write([]byte(text))
		return string(m.Sum(nil)[:16])
	}
	for what, got := range map[string]Proof{
		sum("tcpnet stream\x01O" + string(aRequest.Nonce[:]) + "печать"): aRequest.Prove(s, true),
		sum("tcpnet stream\x02O" + string(aRequest.Nonce[:]) + "печать"): aRequest.Prove(s, false),
		sum("tcpnet stream answer" + string(n[:]) + string(c[:])):        s.ProveAnswer(n, c),
		sum("tcpnet stream go" + string(n[:]) + string(c[:])):            s.ProveGo(n, c),
	} {
		if what != string(got[:]) {
			t.Errorf("proof is %x, want %x", got, what)
		}
	}
	if a, b := NewNonce(), NewNonce(); a == b {
		t.Error("a nonce came twice")
	}
	if s.ProveGo(n, c).Equal(s.ProveGo(c, n)) || !s.ProveGo(n, c).Equal(s.ProveGo(n, c)) {
		t.Error("Equal")
	}
}

func TestDialFrames(t *testing.T) {
	d := DialBack{Nonce{1}, strings.Repeat("s", MaxService)}
	if got, err := ParseDial(AppendDial(nil, d)[headerLen:]); err != nil || got != d {
		t.Errorf("DIAL became %+v, %v", got, err)
	}
	n := NoDial{Nonce{2}, CodeCannotDial, "no route"}
	if got, err := ParseNoDial(AppendNoDial(nil, n)[headerLen:]); err != nil || got != n {
		t.Errorf("NODIAL became %+v, %v", got, err)
	}
	for _, p := range [][]byte{nil, make([]byte, 16), make([]byte, 17), append(make([]byte, 16), 5, 'h', 't'), append(make([]byte, 16), 1, 0xff)} {
		if _, err := ParseDial(p); !errors.Is(err, ErrProtocol) {
			t.Errorf("DIAL of %x: %v", p, err)
		}
	}
	if _, err := ParseNoDial(make([]byte, 16)); !errors.Is(err, ErrProtocol) {
		t.Errorf("a short NODIAL: %v", err)
	}
}
