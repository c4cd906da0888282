package link

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
)

// Entry names a peer and its addresses in PEERS (PROTOCOL.md section 8).
type Entry struct {
	ID    ID
	Addrs []netip.AddrPort
}

// maxEntryAddrs bounds the addresses of one entry that are sent and read.
const maxEntryAddrs = 8

// AppendPeers appends as many PEERS frames as the entries need.
func AppendPeers(b []byte, entries []Entry) []byte { return appendEntries(b, FramePeers, entries) }

// AppendHearsay appends as many HEARSAY frames as the entries need.
func AppendHearsay(b []byte, entries []Entry) []byte { return appendEntries(b, FrameHearsay, entries) }

func appendEntries(b []byte, t FrameType, entries []Entry) []byte {
	for {
		start := len(b)
		b = beginFrame(b, t)
		b = append(b, 0)
		for len(entries) > 0 && len(b)-start < MaxPayload-512 { // an entry takes at most 282 bytes
			b = appendEntry(b, entries[0])
			entries = entries[1:]
		}
		if len(entries) == 0 {
			return endFrame(b, start)
		}
		b[start+headerLen] = 1
		b = endFrame(b, start)
	}
}

func appendEntry(b []byte, e Entry) []byte {
	addrs := e.Addrs[:min(len(e.Addrs), maxEntryAddrs)]
	b = append(b, byte(len(e.ID)))
	b = append(b, e.ID...)
	b = append(b, byte(len(addrs)))
	for _, a := range addrs {
		ip := a.Addr().AsSlice()
		b = append(b, byte(len(ip)))
		b = append(b, ip...)
		b = binary.BigEndian.AppendUint16(b, a.Port())
	}
	return b
}

// ParsePeers reads the payload of PEERS or HEARSAY and says whether more frames follow.
func ParsePeers(p []byte) (entries []Entry, more bool, err error) {
	if len(p) < 1 {
		return nil, false, short(FramePeers)
	}
	more, p = p[0] == 1, p[1:]
	for len(p) > 0 {
		n := int(p[0])
		if len(p) < 1+n+1 {
			return nil, false, short(FramePeers)
		}
		id, err := ParseID(string(p[1 : 1+n]))
		if err != nil {
			return nil, false, fmt.Errorf("%w: PEERS: %w", ErrProtocol, err)
		}
		e := Entry{ID: id}
		count := int(p[1+n])
		p = p[2+n:]
		for range count {
			if len(p) < 1 || len(p) < 1+int(p[0])+2 {
				return nil, false, short(FramePeers)
			}
			n := 1 + int(p[0]) + 2
			if a, ok := parseAddrPort(p[1:n]); ok && len(e.Addrs) < maxEntryAddrs {
				e.Addrs = append(e.Addrs, a)
			}
			p = p[n:]
		}
		entries = append(entries, e)
	}
	return entries, more, nil
}

// Sum is what one node adds to the hash of a Digest.
func (id ID) Sum() uint64 {
	h := sha256.Sum256([]byte(id))
	return binary.BigEndian.Uint64(h[:])
}

// Toggle adds a node to the digest, or takes it out, by the Sum of its ID.
func (d *Digest) Toggle(sum uint64, in bool) {
	d.Hash ^= sum
	if in {
		d.Count++
	} else {
		d.Count--
	}
}
