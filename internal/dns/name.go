package dns

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// The bounds of RFC 1035, section 2.3.4, on names without the dot at the end.
const (
	maxLabel = 63
	maxName  = 253
)

// ErrAddress is what [ParseName] says of an IP address, with a port or without.
var ErrAddress = errors.New("it is an IP address, not a name")

// ParseName takes NAME or NAME:PORT apart; without PORT, port is 0. An error says why
// there can be no such name.
func ParseName(text string) (name string, port uint16, err error) {
	if isAddress(text) {
		return "", 0, ErrAddress
	}
	name, after, hasPort := strings.Cut(text, ":")
	if isAddress(name) { // what is after it is no port
		return "", 0, ErrAddress
	}
	if hasPort {
		n, err := strconv.ParseUint(after, 10, 16)
		if err != nil || n == 0 {
			return "", 0, errors.New("the port has to be a number from 1 to 65535")
		}
		port = uint16(n)
	}
	return name, port, checkName(name)
}

func isAddress(text string) bool {
	if _, err := netip.ParseAddrPort(text); err == nil {
		return true
	}
	_, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	return err == nil
}

// checkName returns nil if there can be hosts or services of a name. The DNS itself
// would take any bytes, but no zone has such names, and they are slips: a space, a
// wildcard, the better part of an address.
func checkName(name string) error {
	name = strings.TrimSuffix(name, ".")
	switch {
	case name == "":
		return errors.New("the name is empty")
	case len(name) > maxName:
		return fmt.Errorf("the name has %d bytes, and at most %d are possible", len(name), maxName)
	}
	digits := true
	for label := range strings.SplitSeq(name, ".") {
		switch {
		case label == "":
			return errors.New("there is nothing between two dots, or before the first")
		case len(label) > maxLabel:
			return fmt.Errorf("a label, which is what is between dots, has %d bytes, and at most %d are possible", len(label), maxLabel)
		}
		for _, r := range label {
			switch {
			case r >= 0x80:
				return fmt.Errorf("a name cannot have %q: write letters other than a to z as the DNS has them, in a label that begins with xn--", r)
			case 'a' <= r|0x20 && r|0x20 <= 'z', r == '-', r == '_':
				digits = false
			case r < '0' || r > '9':
				return fmt.Errorf("a name cannot have %q: there are only letters, digits, hyphens and underscores between the dots", r)
			}
		}
	}
	if digits {
		return errors.New("a name has at least one letter")
	}
	return nil
}
