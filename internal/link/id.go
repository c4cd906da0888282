package link

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// MaxIDLen is the largest number of digits in an ID (PROTOCOL.md section 1).
const MaxIDLen = 128

// ID is a node's ID: 1 to MaxIDLen upper-case hexadecimal digits.
type ID string

// ParseID checks s and folds it to upper case.
func ParseID(s string) (ID, error) {
	if s == "" {
		return "", fmt.Errorf("an ID needs at least one hexadecimal digit")
	}
	if len(s) > MaxIDLen {
		return "", fmt.Errorf("an ID has at most %d digits, this one has %d", MaxIDLen, len(s))
	}
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
		default:
			return "", fmt.Errorf("ID %q: character %d is not a hexadecimal digit", s, i+1)
		}
	}
	return ID(strings.ToUpper(s)), nil
}

// NewID returns 128 bits of random.
func NewID(random io.Reader) ID {
	var b [16]byte
	io.ReadFull(random, b[:]) // a source of randomness never fails
	return ID(strings.ToUpper(hex.EncodeToString(b[:])))
}

// Compare orders IDs as numbers, then by length (PROTOCOL.md section 1).
func (id ID) Compare(other ID) int {
	a, b := strings.TrimLeft(string(id), "0"), strings.TrimLeft(string(other), "0")
	return cmp.Or(
		cmp.Compare(len(a), len(b)),
		cmp.Compare(a, b), // digits sort before letters, and both fold to upper case
		cmp.Compare(len(id), len(other)),
	)
}

// Incarnation tells one run of a node from the next (PROTOCOL.md section 1).
type Incarnation [16]byte

// NewIncarnation returns a random one.
func NewIncarnation() (inc Incarnation) {
	rand.Read(inc[:]) // never fails
	return inc
}
