package link

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"unicode/utf8"
)

// The only version of the protocol so far.
const Version = 1

// Bounds on what HELLO carries (PROTOCOL.md sections 1 and 5.1).
const (
	MaxName      = 255
	MaxLabel     = 255
	MaxMeta      = 2048 // all pairs together, as they stand in the frame
	MaxAddresses = 16
)

// The tags of HELLO's fields (PROTOCOL.md section 5.1).
const (
	tagVersions    = 1
	tagFeatures    = 2
	tagName        = 3
	tagID          = 4
	tagIncarnation = 5
	tagTarget      = 6
	tagLabel       = 7
	tagMeta        = 8
	tagAddress     = 9
	tagDigest      = 10
)

// Hello is what a node says of itself (PROTOCOL.md section 5.1).
type Hello struct {
	MinVersion, MaxVersion uint8
	Features               uint64
	Name                   string
	ID                     ID
	Incarnation            Incarnation
	Target                 ID // empty: whoever answers
	Label                  string
	Meta                   map[string]string
	Addrs                  []netip.AddrPort // no zones
	Digest                 Digest
}

// MetaLen is the room that meta takes in a HELLO frame.
func MetaLen(meta map[string]string) (n int) {
	for k, v := range meta {
		n += 4 + len(k) + len(v)
	}
	return n
}

// AppendHello appends a HELLO frame.
func AppendHello(b []byte, h *Hello) []byte {
	start := len(b)
	b = beginFrame(b, FrameHello)
	b = append(b, tagVersions, 0, 2, h.MinVersion, h.MaxVersion)
	if h.Features != 0 {
		b = append(b, tagFeatures, 0, 8)
		b = binary.BigEndian.AppendUint64(b, h.Features)
	}
	b = appendField(b, tagName, h.Name)
	b = appendField(b, tagID, string(h.ID))
	b = append(b, tagIncarnation, 0, byte(len(h.Incarnation)))
	b = append(b, h.Incarnation[:]...)
	if h.Target != "" {
		b = appendField(b, tagTarget, string(h.Target))
	}
	if h.Label != "" {
		b = appendField(b, tagLabel, h.Label)
	}
	for _, k := range slices.Sorted(maps.Keys(h.Meta)) {
		v := h.Meta[k]
		b = append(b, tagMeta)
		b = binary.BigEndian.AppendUint16(b, uint16(1+len(k)+len(v)))
		b = append(b, byte(len(k)))
		b = append(append(b, k...), v...)
	}
	for _, a := range h.Addrs {
		ip := a.Addr().AsSlice()
		b = append(b, tagAddress, 0, byte(len(ip)+2))
		b = append(b, ip...)
		b = binary.BigEndian.AppendUint16(b, a.Port())
	}
	b = append(b, tagDigest, 0, digestLen)
	b = h.Digest.append(b)
	return endFrame(b, start)
}

func appendField(b []byte, tag byte, s string) []byte {
	b = append(b, tag)
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

// ParseHello reads the payload of HELLO. It keeps no reference to p.
func ParseHello(p []byte) (*Hello, error) {
	h := &Hello{}
	var haveVersions, haveIncarnation bool
	meta := 0
	for len(p) > 0 {
		if len(p) < 3 {
			return nil, short(FrameHello)
		}
		tag, n := p[0], int(binary.BigEndian.Uint16(p[1:]))
		if len(p) < 3+n {
			return nil, short(FrameHello)
		}
		v := p[3 : 3+n]
		p = p[3+n:]
		switch tag {
		case tagVersions:
			if n < 2 {
				return nil, short(FrameHello)
			}
			h.MinVersion, h.MaxVersion, haveVersions = v[0], v[1], true
		case tagFeatures:
			if n < 8 {
				return nil, short(FrameHello)
			}
			h.Features = binary.BigEndian.Uint64(v)
		case tagName:
			if n == 0 || n > MaxName || !utf8.Valid(v) {
				return nil, fmt.Errorf("%w: HELLO with a bad name", ErrProtocol)
			}
			h.Name = string(v)
		case tagID, tagTarget:
			id, err := ParseID(string(v[:min(n, MaxIDLen+1)]))
			if err != nil {
				return nil, fmt.Errorf("%w: HELLO: %w", ErrProtocol, err)
			}
			if tag == tagID {
				h.ID = id
			} else {
				h.Target = id
			}
		case tagIncarnation:
			if n < len(h.Incarnation) {
				return nil, short(FrameHello)
			}
			copy(h.Incarnation[:], v)
			haveIncarnation = true
		case tagLabel:
			h.Label = text(v, MaxLabel)
		case tagMeta:
			if meta += 3 + n; n < 1 || n < 1+int(v[0]) || meta > MaxMeta {
				return nil, fmt.Errorf("%w: HELLO with bad meta", ErrProtocol)
			}
			if h.Meta == nil {
				h.Meta = make(map[string]string)
			}
			key := 1 + int(v[0])
			h.Meta[string(v[1:key])] = string(v[key:])
		case tagAddress:
			if a, ok := parseAddrPort(v); ok && len(h.Addrs) < MaxAddresses {
				h.Addrs = append(h.Addrs, a)
			}
		case tagDigest:
			if n >= digestLen {
				h.Digest = parseDigest(v)
			}
		}
	}
	if !haveVersions || !haveIncarnation || h.Name == "" || h.ID == "" {
		return nil, fmt.Errorf("%w: HELLO lacks a required field", ErrProtocol)
	}
	return h, nil
}

// parseAddrPort reads 4 or 16 bytes of IP and a port, and refuses what nobody
// can listen on.
func parseAddrPort(v []byte) (netip.AddrPort, bool) {
	if len(v) < 2 {
		return netip.AddrPort{}, false
	}
	ip, ok := netip.AddrFromSlice(v[:len(v)-2])
	ip = ip.Unmap()
	port := binary.BigEndian.Uint16(v[len(v)-2:])
	if !ok || port == 0 || ip.IsUnspecified() || ip.IsMulticast() || ip == broadcast {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(ip, port), true
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})
