package gossip

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"net"
	"net/netip"

	"example.com/tcpnet/discovery"
)

// What is added to the end of a member's metadata (PROTOCOL.md section 2.3): entries,
// their length and a mark.
const (
	mark       = "tcpnet\x01"
	trailer    = 2 + len(mark)
	maxAddrs   = 4
	maxEntries = 64
)

// entry tells of one node.
type entry struct {
	cluster [8]byte // of the SHA-256 of the name
	start   uint32  // random at each start
	port    uint16
	addrs   []netip.Addr // that it listens on; none: that of the member
	id      string
}

func newEntry(self discovery.Self) entry {
	e := entry{cluster: clusterHash(self.Cluster), port: self.Port, id: self.ID}
	e.addrs = self.Addrs[:min(len(self.Addrs), maxAddrs)]
	var b [4]byte
	rand.Read(b[:]) // never fails
	e.start = binary.BigEndian.Uint32(b[:])
	return e
}

func clusterHash(name string) (h [8]byte) {
	sum := sha256.Sum256([]byte(name))
	copy(h[:], sum[:])
	return h
}

// key is the same for all nodes with an ID in a cluster.
func (e *entry) key() string { return string(e.cluster[:]) + e.id }

// candidate returns where the node is, if its member has an address.
func (e *entry) candidate(member net.IP) (discovery.Candidate, bool) {
	c := discovery.Candidate{ID: e.id, Source: "gossip"}
	addrs := e.addrs
	if len(addrs) == 0 {
		if ip, ok := netip.AddrFromSlice(member); ok {
			addrs = []netip.Addr{ip.Unmap()}
		}
	}
	for _, ip := range addrs {
		if !ip.IsUnspecified() && !ip.IsMulticast() && !ip.IsLinkLocalUnicast() {
			c.Addrs = append(c.Addrs, netip.AddrPortFrom(ip, e.port))
		}
	}
	return c, len(c.Addrs) > 0 && e.port != 0
}

// join appends entries to metadata.
func join(meta []byte, entries []entry) []byte {
	if len(entries) == 0 {
		return meta
	}
	begin := len(meta)
	for _, e := range entries {
		at := len(meta)
		meta = append(meta, 0)
		meta = append(meta, e.cluster[:]...)
		meta = binary.BigEndian.AppendUint32(meta, e.start)
		meta = binary.BigEndian.AppendUint16(meta, e.port)
		meta = append(meta, byte(len(e.addrs)))
		for _, ip := range e.addrs {
			b := ip.WithZone("").AsSlice()
			meta = append(append(meta, byte(len(b))), b...)
		}
		meta = append(meta, e.id...)
		meta[at] = byte(len(meta) - at - 1)
	}
	meta = binary.BigEndian.AppendUint16(meta, uint16(len(meta)-begin))
	return append(meta, mark...)
}

// split takes metadata apart into what was there before join and the entries, as far
// as they make sense.
func split(meta []byte) (before []byte, entries []entry) {
	rest, ok := bytes.CutSuffix(meta, []byte(mark))
	if !ok || len(rest) < 2 {
		return meta, nil
	}
	n := int(binary.BigEndian.Uint16(rest[len(rest)-2:]))
	rest = rest[:len(rest)-2]
	if n > len(rest) {
		return meta, nil
	}
	before, rest = rest[:len(rest)-n], rest[len(rest)-n:]
	for len(rest) > 0 && len(entries) < maxEntries {
		n := int(rest[0])
		if n > len(rest)-1 {
			break
		}
		if e, ok := parseEntry(rest[1 : 1+n]); ok {
			entries = append(entries, e)
		}
		rest = rest[1+n:]
	}
	return before, entries
}

func parseEntry(b []byte) (e entry, ok bool) {
	if len(b) < 8+4+2+1 {
		return e, false
	}
	copy(e.cluster[:], b)
	e.start = binary.BigEndian.Uint32(b[8:])
	e.port = binary.BigEndian.Uint16(b[12:])
	count := int(b[14])
	b = b[15:]
	for range count {
		if len(b) == 0 || int(b[0]) > len(b)-1 {
			return e, false
		}
		ip, ok := netip.AddrFromSlice(b[1 : 1+b[0]])
		if !ok || len(e.addrs) >= maxAddrs {
			return e, false
		}
		e.addrs = append(e.addrs, ip.Unmap())
		b = b[1+b[0]:]
	}
	e.id = string(b)
	return e, e.id != ""
}
