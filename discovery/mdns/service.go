package mdns

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Names that all services share (RFC 6763, 4 and 9).
const (
	domain      = "local."
	enumeration = "_services._dns-sd._udp.local."
)

// A TXT string has at most 255 bytes (RFC 6763, 6.1).
const maxTXT = 255

// hostPrefix begins the host name of every node; the rest is random.
const hostPrefix = "tcpnet-"

// serviceType returns the DNS-SD service type of a cluster, such as
// "_chat._tcp.local.". A name that RFC 6335 does not allow as a service name is
// replaced by a hash of itself; the TXT record then carries it.
func serviceType(cluster string) (name string, hashed bool) {
	label := fold(cluster)
	if !legalServiceName(label) {
		sum := sha256.Sum256([]byte(cluster))
		label, hashed = "tn-"+hex.EncodeToString(sum[:6]), true
	}
	return "_" + label + "._tcp." + domain, hashed
}

// legalServiceName reports whether a folded name is one by RFC 6335, 5.1: 1 to
// 15 letters, digits and single inner hyphens, at least one letter.
func legalServiceName(s string) bool {
	if len(s) == 0 || len(s) > 15 || s[0] == '-' || s[len(s)-1] == '-' || strings.Contains(s, "--") {
		return false
	}
	letter := false
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z':
			letter = true
		case '0' <= c && c <= '9', c == '-':
		default:
			return false
		}
	}
	return letter
}

// instanceLabel returns the instance name of a node. A label has at most 63
// bytes (RFC 1035, 2.3.4), so a longer ID is replaced by a hash of itself and
// the TXT record carries it.
func instanceLabel(id string) string {
	if len(id) <= 63 {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return strings.ToUpper(hex.EncodeToString(sum[:16]))
}

// validID reports whether s can be a node's ID that fits in a TXT string.
func validID(s string) bool {
	if s == "" || len(s) > maxTXT-len("id=") {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('0' <= c && c <= '9' || 'A' <= c && c <= 'F' || 'a' <= c && c <= 'f') {
			return false
		}
	}
	return true
}

// nodeTXT returns the strings of a node's TXT record.
func nodeTXT(cluster string, hashed bool, id string) []string {
	txt := []string{"v=1"}
	if hashed {
		txt = append(txt, "name="+boundedName(cluster))
	}
	if len(id) > 63 {
		txt = append(txt, "id="+id)
	}
	return txt
}

// boundedName cuts a cluster's name to what fits in a TXT string. The hash in
// the service type covers the rest.
func boundedName(cluster string) string {
	return cluster[:min(len(cluster), maxTXT-len("name="))]
}

// attribute returns the value of a key in a TXT record: the first one counts and
// keys are case-insensitive (RFC 6763, 6.4).
func attribute(txt []string, key string) (string, bool) {
	for _, s := range txt {
		k, v, _ := strings.Cut(s, "=")
		if strings.EqualFold(k, key) {
			return v, true
		}
	}
	return "", false
}

// fold lowers the ASCII letters of a name: DNS compares names so (RFC 6762, 16),
// and leaves other bytes alone.
func fold(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			foldBytes(b[i:])
			return string(b)
		}
	}
	return s
}

// sameName reports whether two names are the same when folded.
func sameName(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if foldByte(a[i]) != foldByte(b[i]) {
			return false
		}
	}
	return true
}

func foldByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

func foldBytes(b []byte) {
	for i, c := range b {
		b[i] = foldByte(c)
	}
}

// splitInstance splits the full name of an instance into its label and its
// service type. Only one label may stand before "_type._tcp.local.".
func splitInstance(name string) (label, service string, ok bool) {
	label, service, ok = strings.Cut(name, ".")
	return label, service, ok && label != "" && strings.HasPrefix(service, "_")
}
