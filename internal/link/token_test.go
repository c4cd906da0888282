package link

import (
	"crypto/hmac"
	"crypto/sha256"
	"testing"
)

func TestTokens(t *testing.T) {
	s := Secret{1}
	m := hmac.New(sha256.New, s[:])
	m.Write([]byte("tcpnet connection\x00\x00\x00\x00\x00\x00\x01\x02"))
	if got := s.Token(0x102); string(got[:]) != string(m.Sum(nil)[:16]) {
		t.Error("the token is not that of PROTOCOL.md section 6")
	}
	if s.Token(1) == s.Token(2) || s.Token(1) == (Secret{2}).Token(1) || s.Token(1) != (Secret{1}).Token(1) {
		t.Error("tokens do not depend on the secret and the number")
	}
	if a, b := NewSecret(), NewSecret(); a == b {
		t.Error("a secret came twice")
	}
}
