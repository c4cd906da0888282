package secure

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"io"
)

// proofLen is the length of a proof.
const proofLen = sha256.Size

// exporterLabel is of the TLS exporter (RFC 8446 section 7.5).
const exporterLabel = "EXPORTER-tcpnet-1"

// The roles of PROTOCOL.md section 13.2.
const (
	roleDialler  = "dialler"
	roleAcceptor = "acceptor"
	roleIdentity = "dialler's ID"
)

// key is what a secret is used as.
type key [32]byte

// proof shows that whoever made it has a key, on one TLS connection.
type proof [proofLen]byte

// keyHash is the hash of a public key.
type keyHash [sha256.Size]byte

// transcript is what proofs are bound to.
type transcript struct {
	exporter       [32]byte
	name           string
	client, server keyHash
}

// makeKeys returns the keys of secrets, and that of no secret if there is none.
func makeKeys(secrets [][]byte) []key {
	if len(secrets) == 0 {
		secrets = [][]byte{nil}
	}
	keys := make([]key, len(secrets))
	for i, s := range secrets {
		k, err := hkdf.Key(sha256.New, s, nil, "tcpnet/1 secret", len(keys[i]))
		if err != nil {
			panic(err) // only for lengths that are not possible
		}
		copy(keys[i][:], k)
	}
	return keys
}

func hashKey(c *x509.Certificate) keyHash { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }

// proof returns PROOF(role, ids…) of PROTOCOL.md section 13.2.
func (k key) proof(role string, t *transcript, ids ...string) (p proof) {
	b := make([]byte, 0, 512)
	b = append(b, "tcpnet/1 "...)
	b = append(append(b, role...), 0)
	b = append(b, t.exporter[:]...)
	b = append(append(b, byte(len(t.name))), t.name...)
	b = append(b, t.client[:]...)
	b = append(b, t.server[:]...)
	for _, id := range ids {
		b = append(append(b, byte(len(id))), id...)
	}
	m := hmac.New(sha256.New, k[:])
	m.Write(b)
	m.Sum(p[:0])
	return p
}

// is compares in constant time.
func (p proof) is(q proof) bool { return hmac.Equal(p[:], q[:]) }

// match finds the first of the dialler's proofs that one of the keys explains, and
// returns its number, from 1, or 0. It looks at all of them however early it is found.
func match(keys []key, t *transcript, proofs *[MaxSecrets * proofLen]byte) (found key, number int) {
	for _, k := range keys {
		want := k.proof(roleDialler, t)
		for i := range MaxSecrets {
			if want.is(proof(proofs[i*proofLen:][:proofLen])) && (number == 0 || i+1 < number) {
				found, number = k, i+1
			}
		}
	}
	return found, number
}

// appendIdentity appends an ID and the proof that goes with it.
func appendIdentity(b []byte, id string, p proof) []byte {
	b = append(append(b, byte(len(id))), id...)
	return append(b, p[:]...)
}

// readIdentity reads what appendIdentity writes.
func readIdentity(r io.Reader) (id string, p proof, err error) {
	var b [1 + MaxID + proofLen]byte
	if _, err := io.ReadFull(r, b[:1]); err != nil {
		return "", p, err
	}
	n := int(b[0])
	if n < 1 || n > MaxID {
		return "", p, fmt.Errorf("%w: an ID of %d bytes", ErrForeign, n)
	}
	rest := b[1 : 1+n+proofLen]
	if _, err := io.ReadFull(r, rest); err != nil {
		return "", p, err
	}
	return string(rest[:n]), proof(rest[n:]), nil
}
