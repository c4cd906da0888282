package link

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
)

// TokenLen is the length of a Token.
const TokenLen = 16

// Token admits one socket as a connection (PROTOCOL.md section 6).
type Token [TokenLen]byte

// Accepted is the byte with which an acceptor answers a token it knows.
const Accepted = 0x01

// NewSecret returns a random Secret.
func NewSecret() (s Secret) {
	rand.Read(s[:]) // never fails
	return s
}

// Token returns the token of the connection with this number.
func (s Secret) Token(number uint64) (t Token) {
	m := hmac.New(sha256.New, s[:])
	m.Write(binary.BigEndian.AppendUint64([]byte("tcpnet connection"), number))
	copy(t[:], m.Sum(nil))
	return t
}
