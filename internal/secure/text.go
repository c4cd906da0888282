package secure

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The text form of a secret: textPrefix and, in base32 without padding, 32 random bytes
// and the first 4 of SHA-256 of prefix and bytes. Case does not matter.
const (
	textPrefix = "tcpnet-secret-1-"
	secretLen  = 32
	checkLen   = 4
)

// textEncoding is made when it is needed: most nodes never do.
func textEncoding() *base32.Encoding { return base32.StdEncoding.WithPadding(base32.NoPadding) }

// NewText returns a new secret in its text form.
func NewText() string {
	var b [secretLen]byte
	rand.Read(b[:]) // never fails
	return formatText(b[:])
}

func formatText(secret []byte) string {
	b := append(bytes.Clone(secret), checksum(secret)...)
	return textPrefix + strings.ToLower(textEncoding().EncodeToString(b))
}

func checksum(secret []byte) []byte {
	sum := sha256.Sum256(append([]byte(textPrefix), secret...))
	return sum[:checkLen]
}

// ParseText reads a secret in its text form. The error never contains any of it.
func ParseText(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	rest, ok := cutPrefixFold(text)
	if !ok {
		return nil, fmt.Errorf("a secret begins with %q: make one with tcpnet keygen", textPrefix)
	}
	want := textEncoding().EncodedLen(secretLen + checkLen)
	if len(rest) != want {
		return nil, fmt.Errorf("a secret has %d characters after %q, this one has %d: was it copied whole?", want, textPrefix, len(rest))
	}
	rest = strings.ToUpper(rest)
	for i := range len(rest) {
		if c := rest[i]; (c < 'A' || c > 'Z') && (c < '2' || c > '7') {
			return nil, fmt.Errorf("character %d of the secret cannot be right: there are only letters and the digits 2 to 7", len(textPrefix)+i+1)
		}
	}
	b, err := textEncoding().DecodeString(rest)
	if err != nil {
		return nil, errors.New("the secret is not well-formed")
	}
	secret, check := b[:secretLen], b[secretLen:]
	// The last character has bits to spare, in which a typo would not show.
	if !bytes.Equal(check, checksum(secret)) || !strings.HasSuffix(strings.ToUpper(formatText(secret)), rest) {
		return nil, errors.New("the secret has a typo: its checksum does not fit")
	}
	return secret, nil
}

func cutPrefixFold(text string) (rest string, ok bool) {
	if len(text) < len(textPrefix) || !strings.EqualFold(text[:len(textPrefix)], textPrefix) {
		return "", false
	}
	return text[len(textPrefix):], true
}

// MinSecret is the length of the shortest secret, in bytes.
const MinSecret = 16

// Bounds on what could be random.
const (
	fewBytes = 8  // different bytes, at the least
	longText = 32 // characters, at the least, of random bytes written as text
)

// CheckSecret returns the bytes of a secret, which may be in its text form, or what
// is wrong with it. The error never contains any of it.
func CheckSecret(secret []byte) ([]byte, error) {
	if _, ok := cutPrefixFold(strings.TrimSpace(string(secret))); ok {
		return ParseText(string(secret))
	}
	switch different := countDifferent(secret); {
	case len(secret) < MinSecret:
		return nil, fmt.Errorf("it has %d bytes, and has to have %d or more that nobody can guess: make one with tcpnet keygen", len(secret), MinSecret)
	case different < fewBytes:
		return nil, fmt.Errorf("it has only %d different bytes, and could be guessed: make one with tcpnet keygen", different)
	case isText(secret) && !isEncoded(secret):
		return nil, errors.New("it looks like words, which can be guessed: make one with tcpnet keygen, or in a program with NewSecret")
	}
	return bytes.Clone(secret), nil
}

func countDifferent(b []byte) (n int) {
	var seen [256]bool
	for _, c := range b {
		if !seen[c] {
			seen[c] = true
			n++
		}
	}
	return n
}

// isText reports whether b could have been typed.
func isText(b []byte) bool {
	for _, r := range string(b) {
		if r == utf8.RuneError || !unicode.IsPrint(r) && !unicode.IsSpace(r) {
			return false
		}
	}
	return true
}

// isEncoded reports whether text could be random bytes written in hexadecimal or base64.
// In base64, letters of both cases and digits take turns far more often than in words;
// one secret in ten thousand is taken for words all the same.
func isEncoded(b []byte) bool {
	if len(b) < longText {
		return false
	}
	hexadecimal, turns := true, 0
	for i, c := range b {
		if class(c) == 0 {
			return false
		}
		if class(c) != '0' && !('a' <= c|0x20 && c|0x20 <= 'f') {
			hexadecimal = false
		}
		if i > 0 && class(c) != class(b[i-1]) {
			turns++
		}
	}
	return hexadecimal || turns >= len(b)/3
}

// class returns which kind of sign of base64 c is, or 0 if it is none.
func class(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return '0'
	case 'a' <= c && c <= 'z':
		return 'a'
	case 'A' <= c && c <= 'Z':
		return 'A'
	case strings.IndexByte("+/-_=", c) >= 0:
		return '+'
	}
	return 0
}
