package dns

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// udpSize is the largest answer that is asked for by UDP: it crosses any
	// network without fragments.
	udpSize = 1232
	// maxChain is how many aliases may follow one another.
	maxChain = 16
)

var (
	// errStray: what was received does not answer the question that was asked.
	errStray = errors.New("not an answer to the question")
	// errTruncated: the answer is too large for UDP.
	errTruncated = errors.New("the answer is truncated")
)

// A failure is an answer that says that there is none.
type failure struct{ code dnsmessage.RCode }

func (f failure) Error() string {
	return "the server answers " + strings.TrimPrefix(f.code.GoString(), "dnsmessage.RCode")
}

// ask returns the packet of a question. With extended it allows for larger answers
// (RFC 6891), which some servers do not understand.
func ask(id uint16, q dnsmessage.Question, extended bool) ([]byte, error) {
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: id, RecursionDesired: true})
	b.EnableCompression()
	if err := b.StartQuestions(); err != nil {
		return nil, err
	}
	if err := b.Question(q); err != nil {
		return nil, err
	}
	if extended {
		if err := b.StartAdditionals(); err != nil {
			return nil, err
		}
		var h dnsmessage.ResourceHeader
		if err := h.SetEDNS0(udpSize, dnsmessage.RCodeSuccess, false); err != nil {
			return nil, err
		}
		if err := b.OPTResource(h, dnsmessage.OPTResource{}); err != nil {
			return nil, err
		}
	}
	return b.Finish()
}

// question returns the question for a full name.
func question(name string, typ dnsmessage.Type) (dnsmessage.Question, error) {
	n, err := dnsmessage.NewName(name)
	if err != nil {
		return dnsmessage.Question{}, fmt.Errorf("%q: %w", name, err)
	}
	q := dnsmessage.Question{Name: n, Type: typ, Class: dnsmessage.ClassINET}
	if _, err := ask(0, q, true); err != nil {
		return q, fmt.Errorf("%q is no name in the DNS: %w", name, err)
	}
	return q, nil
}

// read takes an answer apart. An error is errStray, errTruncated, a failure, or says
// what is wrong with the message.
func read(msg []byte, id uint16, q dnsmessage.Question) (Answer, error) {
	var p dnsmessage.Parser
	h, err := p.Start(msg)
	if err != nil || h.ID != id || !h.Response {
		return Answer{}, errStray
	}
	got, err := p.Question()
	if err != nil || got.Type != q.Type || got.Class != q.Class || fold(got.Name) != fold(q.Name) {
		// Some servers leave out the question when they fail.
		if h.RCode == dnsmessage.RCodeSuccess || h.RCode == dnsmessage.RCodeNameError || !errors.Is(err, dnsmessage.ErrSectionDone) {
			return Answer{}, errStray
		}
		return Answer{}, failure{h.RCode}
	}
	switch {
	case h.Truncated:
		return Answer{}, errTruncated
	case h.RCode != dnsmessage.RCodeSuccess && h.RCode != dnsmessage.RCodeNameError:
		return Answer{}, failure{h.RCode}
	}
	if err := p.SkipAllQuestions(); err != nil {
		return Answer{}, err
	}
	var c collector
	if err := c.section(p.AnswerHeader, &p); err != nil {
		return Answer{}, fmt.Errorf("answer: %w", err)
	}
	if a := c.answer(q); !a.Empty() {
		if p.SkipAllAuthorities() == nil {
			var more collector
			more.section(p.AdditionalHeader, &p) // is not needed
			more.glue(&a)
		}
		return a, nil
	}
	ttl, err := negativeTTL(&p)
	if err != nil {
		return Answer{}, fmt.Errorf("authority: %w", err)
	}
	return Answer{TTL: min(ttl, c.aliasTTL(q))}, nil
}

// negativeTTL returns for how long there are no records: the lesser of the SOA
// record's own TTL and its MINIMUM field, or 0 without one (RFC 2308, section 5).
func negativeTTL(p *dnsmessage.Parser) (time.Duration, error) {
	for {
		h, err := p.AuthorityHeader()
		switch {
		case errors.Is(err, dnsmessage.ErrSectionDone):
			return 0, nil
		case err != nil:
			return 0, err
		case h.Type == dnsmessage.TypeSOA:
			r, err := p.SOAResource()
			return min(seconds(r.MinTTL), seconds(h.TTL)), err
		}
		if err := p.SkipAuthority(); err != nil {
			return 0, err
		}
	}
}

// seconds returns a TTL. One with the highest bit set counts as 0 (RFC 2181, section
// 8).
func seconds(ttl uint32) time.Duration {
	if ttl > 1<<31-1 {
		return 0
	}
	return time.Duration(ttl) * time.Second
}

// A collector holds the records of a section by their folded owner.
type collector struct {
	addrs    map[string][]held[netip.Addr]
	services map[string][]held[Service]
	aliases  map[string]held[string]
}

type held[T any] struct {
	value T
	ttl   time.Duration
}

func fold(n dnsmessage.Name) string { return strings.ToLower(n.String()) }

func add[T any](m *map[string][]held[T], h dnsmessage.ResourceHeader, v T) {
	if *m == nil {
		*m = make(map[string][]held[T])
	}
	name := fold(h.Name)
	(*m)[name] = append((*m)[name], held[T]{v, seconds(h.TTL)})
}

// section reads the records of a section.
func (c *collector) section(next func() (dnsmessage.ResourceHeader, error), p *dnsmessage.Parser) error {
	for {
		h, err := next()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Class != dnsmessage.ClassINET {
			h.Type = dnsmessage.TypeOPT // skipped
		}
		switch h.Type {
		case dnsmessage.TypeA:
			r, err := p.AResource()
			if err != nil {
				return err
			}
			add(&c.addrs, h, netip.AddrFrom4(r.A))
		case dnsmessage.TypeAAAA:
			r, err := p.AAAAResource()
			if err != nil {
				return err
			}
			add(&c.addrs, h, netip.AddrFrom16(r.AAAA).Unmap())
		case dnsmessage.TypeSRV:
			r, err := p.SRVResource()
			if err != nil {
				return err
			}
			add(&c.services, h, Service{Target: fold(r.Target), Port: r.Port})
		case dnsmessage.TypeCNAME:
			r, err := p.CNAMEResource()
			if err != nil {
				return err
			}
			if c.aliases == nil {
				c.aliases = make(map[string]held[string])
			}
			c.aliases[fold(h.Name)] = held[string]{fold(r.CNAME), seconds(h.TTL)}
		default:
			// A resource of any type can be skipped as any other.
			if _, err := p.UnknownResource(); err != nil {
				return err
			}
		}
	}
}

// chain returns the names that q's name is an alias of, itself first, and for how
// long that holds.
func (c *collector) chain(q dnsmessage.Question) (names []string, ttl time.Duration) {
	name, ttl := fold(q.Name), forEver
	for range maxChain {
		names = append(names, name)
		a, ok := c.aliases[name]
		if !ok {
			break
		}
		name, ttl = a.value, min(ttl, a.ttl)
	}
	return names, ttl
}

const forEver = (1<<31 - 1) * time.Second

func (c *collector) aliasTTL(q dnsmessage.Question) time.Duration {
	_, ttl := c.chain(q)
	return ttl
}

// answer returns the records that answer q. Others are no concern of ours.
func (c *collector) answer(q dnsmessage.Question) (a Answer) {
	names, ttl := c.chain(q)
	a.TTL = ttl
	for _, name := range names {
		if q.Type == dnsmessage.TypeSRV {
			for _, s := range c.services[name] {
				a.Services, a.TTL = append(a.Services, s.value), min(a.TTL, s.ttl)
			}
			continue
		}
		for _, x := range c.addrs[name] {
			if x.value.Is4() == (q.Type == dnsmessage.TypeA) {
				a.Addrs, a.TTL = append(a.Addrs, x.value), min(a.TTL, x.ttl)
			}
		}
	}
	return a
}

// glue gives the services of a the addresses of their targets, as far as they are
// among the additional records.
func (c *collector) glue(a *Answer) {
	for i := range a.Services {
		for _, x := range c.addrs[a.Services[i].Target] {
			a.Services[i].Addrs = append(a.Services[i].Addrs, x.value)
			a.TTL = min(a.TTL, x.ttl)
		}
	}
}
