package mdns

import (
	"bytes"
	"errors"
	"net/netip"
	"sync"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// maxSend is the size of the largest packet sent: an Ethernet frame's
	// worth, so that nothing is fragmented (RFC 6762, 17).
	maxSend = 1440
	// maxReceive is the size of the largest packet accepted (RFC 6762, 17).
	maxReceive = 9000
	// headerSize is that of every DNS message.
	headerSize = 12
)

// topBit of a class asks for a unicast reply in a question (RFC 6762, 5.4) and
// flushes caches in a record (RFC 6762, 10.2).
const topBit = dnsmessage.Class(1 << 15)

const classAny = dnsmessage.Class(255)

// typeANY asks for records of all types, typeNSEC lists those that exist.
const (
	typeANY  = dnsmessage.TypeALL
	typeNSEC = dnsmessage.Type(47)
)

var (
	errSkip = errors.New("mdns: a record of no use here")
	errName = errors.New("mdns: a name that cannot be sent")
)

// A section of a message that holds records.
type section uint8

const (
	inAnswer section = iota
	inAuthority
	inAdditional
)

type question struct {
	name    string // folded, with the final dot
	typ     dnsmessage.Type
	unicast bool // asks for a unicast reply
}

// A record is a resource record of a type that matters here.
type record struct {
	name    string // folded if parsed
	typ     dnsmessage.Type
	section section
	unique  bool // flushes caches: the sender owns the whole set
	ttl     uint32
	target  string // of PTR and SRV, as sent
	port    uint16 // of SRV
	txt     []string
	addr    netip.Addr        // of A and AAAA
	has     []dnsmessage.Type // of NSEC
}

// goodbye reports whether the message takes a record back (RFC 6762, 10.1).
func (m *message) goodbye() bool {
	for i := range m.records {
		if m.records[i].ttl == 0 {
			return true
		}
	}
	return false
}

// same reports whether two records have the same name, type and data.
func (r *record) same(o *record) bool {
	if r.typ != o.typ || !sameName(r.name, o.name) {
		return false
	}
	switch r.typ {
	case dnsmessage.TypePTR:
		return sameName(r.target, o.target)
	case dnsmessage.TypeSRV:
		return r.port == o.port && sameName(r.target, o.target)
	case dnsmessage.TypeTXT:
		if len(r.txt) != len(o.txt) {
			return false
		}
		for i := range r.txt {
			if r.txt[i] != o.txt[i] {
				return false
			}
		}
		return true
	default:
		return r.addr == o.addr
	}
}

type message struct {
	id        uint16
	response  bool
	truncated bool
	questions []question
	records   []record
	names     names
}

// names keeps one string for each name that comes up again and again. Its zero
// value is empty.
type names struct {
	shown  map[string]string
	folded map[string]string
}

// maxNames bounds the names kept: strangers can make up as many as they like.
const maxNames = 1024

// of returns a name as it was sent.
func (t *names) of(n *dnsmessage.Name) string {
	if s, ok := t.shown[string(n.Data[:n.Length])]; ok {
		return s
	}
	if t.shown == nil || len(t.shown) >= maxNames {
		t.shown = make(map[string]string)
	}
	s := n.String()
	t.shown[s] = s
	return s
}

// fold returns a name folded.
func (t *names) fold(s string) string {
	if f, ok := t.folded[s]; ok {
		return f
	}
	if t.folded == nil || len(t.folded) >= maxNames {
		t.folded = make(map[string]string)
	}
	f := fold(s)
	t.folded[s] = f
	return f
}

// parse reads a message into m, whose slices it uses again. What it cannot read
// it steps over where that is possible: dnsmessage refuses labels that contain a
// dot, which are common in the names of printers, and those of others are no
// reason to lose ours. On an error, m holds what came before it.
func parse(b []byte, m *message) error {
	*m = message{questions: m.questions[:0], records: m.records[:0], names: m.names}
	var p dnsmessage.Parser
	h, err := p.Start(b)
	if err != nil {
		return err
	}
	m.id, m.response, m.truncated = h.ID, h.Response, h.Truncated
	if h.OpCode != 0 || h.RCode != 0 {
		return nil // to be ignored: RFC 6762, 18.3 and 18.11
	}
	for {
		q, err := p.Question()
		if err == dnsmessage.ErrSectionDone {
			break
		}
		if err != nil {
			if err := p.SkipQuestion(); err != nil {
				return err
			}
			continue
		}
		if c := q.Class &^ topBit; c != dnsmessage.ClassINET && c != classAny {
			continue
		}
		m.questions = append(m.questions, question{m.names.fold(m.names.of(&q.Name)), q.Type, q.Class&topBit != 0})
	}
	for s, step := range []struct {
		header func() (dnsmessage.ResourceHeader, error)
		skip   func() error
	}{
		{p.AnswerHeader, p.SkipAnswer},
		{p.AuthorityHeader, p.SkipAuthority},
		{p.AdditionalHeader, p.SkipAdditional},
	} {
		for {
			h, err := step.header()
			if err == dnsmessage.ErrSectionDone {
				break
			}
			if err == nil {
				var r record
				if r, err = parseBody(&p, h, &m.names); err == nil {
					r.section = section(s)
					m.records = append(m.records, r)
					continue
				}
			}
			if err := step.skip(); err != nil {
				return err
			}
		}
	}
	return nil
}

func parseBody(p *dnsmessage.Parser, h dnsmessage.ResourceHeader, t *names) (record, error) {
	r := record{typ: h.Type, ttl: h.TTL, unique: h.Class&topBit != 0}
	if h.Class&^topBit != dnsmessage.ClassINET {
		return r, errSkip
	}
	switch h.Type {
	case dnsmessage.TypePTR:
		b, err := p.PTRResource()
		if err != nil {
			return r, err
		}
		r.target = t.of(&b.PTR)
	case dnsmessage.TypeSRV:
		b, err := p.SRVResource()
		if err != nil {
			return r, err
		}
		r.target, r.port = t.of(&b.Target), b.Port
	case dnsmessage.TypeTXT:
		b, err := p.TXTResource()
		if err != nil {
			return r, err
		}
		r.txt = b.TXT
	case dnsmessage.TypeA:
		b, err := p.AResource()
		if err != nil {
			return r, err
		}
		r.addr = netip.AddrFrom4(b.A)
	case dnsmessage.TypeAAAA:
		b, err := p.AAAAResource()
		if err != nil {
			return r, err
		}
		r.addr = netip.AddrFrom16(b.AAAA)
	default:
		return r, errSkip
	}
	r.name = t.fold(t.of(&h.Name))
	return r, nil
}

// build makes a packet of a message, whose records are in the order of their
// sections.
func build(m *message) ([]byte, error) {
	b := dnsmessage.NewBuilder(make([]byte, 0, 512), dnsmessage.Header{
		ID:            m.id,
		Response:      m.response,
		Authoritative: m.response, // RFC 6762, 18.4
		Truncated:     m.truncated,
	})
	b.EnableCompression()
	if err := b.StartQuestions(); err != nil {
		return nil, err
	}
	for _, q := range m.questions {
		n, err := dnsmessage.NewName(q.name)
		if err != nil {
			return nil, err
		}
		class := dnsmessage.ClassINET
		if q.unicast {
			class |= topBit
		}
		if err := b.Question(dnsmessage.Question{Name: n, Type: q.typ, Class: class}); err != nil {
			return nil, err
		}
	}
	if err := b.StartAnswers(); err != nil {
		return nil, err
	}
	at := inAnswer
	for i := range m.records {
		r := &m.records[i]
		if r.section != at {
			if err := b.StartAdditionals(); err != nil {
				return nil, err
			}
			at = r.section
		}
		if err := buildRecord(&b, r); err != nil {
			return nil, err
		}
	}
	return b.Finish()
}

func buildRecord(b *dnsmessage.Builder, r *record) error {
	n, err := dnsmessage.NewName(r.name)
	if err != nil {
		return err
	}
	h := dnsmessage.ResourceHeader{Name: n, Class: dnsmessage.ClassINET, TTL: r.ttl}
	if r.unique {
		h.Class |= topBit
	}
	switch r.typ {
	case dnsmessage.TypePTR, dnsmessage.TypeSRV:
		t, err := dnsmessage.NewName(r.target)
		if err != nil {
			return err
		}
		if r.typ == dnsmessage.TypePTR {
			return b.PTRResource(h, dnsmessage.PTRResource{PTR: t})
		}
		return b.SRVResource(h, dnsmessage.SRVResource{Port: r.port, Target: t})
	case dnsmessage.TypeTXT:
		return b.TXTResource(h, dnsmessage.TXTResource{TXT: r.txt})
	case dnsmessage.TypeA:
		return b.AResource(h, dnsmessage.AResource{A: r.addr.As4()})
	case typeNSEC:
		data, err := nsec(r)
		if err != nil {
			return err
		}
		return b.UnknownResource(h, dnsmessage.UnknownResource{Type: typeNSEC, Data: data})
	default:
		return b.AAAAResource(h, dnsmessage.AAAAResource{AAAA: r.addr.As16()})
	}
}

// nsec returns the data of a record that says which types its name has: the name
// itself and a bitmap (RFC 6762, 6.1; all types here are below 256).
func nsec(r *record) ([]byte, error) {
	var data []byte
	for label := range bytes.SplitSeq([]byte(r.name[:len(r.name)-1]), []byte{'.'}) {
		if len(label) == 0 || len(label) > 63 {
			return nil, errName
		}
		data = append(data, byte(len(label)))
		data = append(data, label...)
	}
	data = append(data, 0)
	var bits [32]byte
	top := 0
	for _, t := range r.has {
		bits[t/8] |= 0x80 >> (t % 8)
		top = max(top, int(t/8))
	}
	data = append(data, 0, byte(top+1))
	return append(data, bits[:top+1]...), nil
}

// A mention decides cheaply whether a packet can be about any of our names, so
// that the rest of the link's mDNS costs next to nothing.
type mention struct {
	labels [][]byte // folded, with the length in front

	mu      sync.Mutex // guards scratch
	scratch []byte
}

// newMention looks for service types, for hosts and for the question for all
// service types.
func newMention(names []string) *mention {
	m := &mention{labels: [][]byte{[]byte("\x09_services\x07_dns-sd")}}
	for _, s := range names {
		first, _, _ := bytes.Cut([]byte(s), []byte{'.'})
		m.labels = append(m.labels, append([]byte{byte(len(first))}, first...))
	}
	return m
}

func (m *mention) in(b []byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.scratch = append(m.scratch[:0], b...)
	foldBytes(m.scratch)
	for i := len(m.labels) - 1; i >= 0; i-- {
		if bytes.Contains(m.scratch, m.labels[i]) {
			return true
		}
	}
	return false
}
