package mdns

import "sync/atomic"

// packetKind says what a packet sent is for.
type packetKind uint8

const (
	packetAnnouncement packetKind = iota
	packetAnswer
	packetReply
	packetGoodbye
	packetQuery
	packetOneShot
	packetKinds
)

// Traffic counts packets and their bytes, without headers of lower layers.
type Traffic struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// Stats are what an engine has done since it started, for all nodes that share
// it.
type Stats struct {
	// What was sent, by purpose. A packet that goes out by several
	// interfaces or families counts once for each.
	Announcements  Traffic `json:"announcements"`
	Answers        Traffic `json:"answers"`        // multicast
	Replies        Traffic `json:"replies"`        // to one host
	Goodbyes       Traffic `json:"goodbyes"`       //
	Queries        Traffic `json:"queries"`        // multicast, with known answers
	OneShotQueries Traffic `json:"oneShotQueries"` // from a port of their own

	// Received is all that came in; the rest of it says what became of it.
	Received    Traffic `json:"received"`
	Dropped     uint64  `json:"dropped"`     // came faster than it could be handled
	Unrelated   uint64  `json:"unrelated"`   // of other services, not looked at
	Repeated    uint64  `json:"repeated"`    // the same packet by another way, or our own
	OffLink     uint64  `json:"offLink"`     // from outside the link, or from a wrong port
	ParseErrors uint64  `json:"parseErrors"` // could not be read to the end

	SendErrors uint64 `json:"sendErrors"`
	Instances  uint64 `json:"instances"` // in the cache now
}

type traffic struct{ packets, bytes atomic.Uint64 }

func (t *traffic) count(n int) {
	t.packets.Add(1)
	t.bytes.Add(uint64(n))
}

func (t *traffic) load() Traffic { return Traffic{t.packets.Load(), t.bytes.Load()} }

type counters struct {
	sent                                               [packetKinds]traffic
	received                                           traffic
	dropped, unrelated, repeated, offLink, parseErrors atomic.Uint64
	sendErrors, instances                              atomic.Uint64
}

func (c *counters) stats() Stats {
	return Stats{
		Announcements:  c.sent[packetAnnouncement].load(),
		Answers:        c.sent[packetAnswer].load(),
		Replies:        c.sent[packetReply].load(),
		Goodbyes:       c.sent[packetGoodbye].load(),
		Queries:        c.sent[packetQuery].load(),
		OneShotQueries: c.sent[packetOneShot].load(),
		Received:       c.received.load(),
		Dropped:        c.dropped.Load(),
		Unrelated:      c.unrelated.Load(),
		Repeated:       c.repeated.Load(),
		OffLink:        c.offLink.Load(),
		ParseErrors:    c.parseErrors.Load(),
		SendErrors:     c.sendErrors.Load(),
		Instances:      c.instances.Load(),
	}
}
