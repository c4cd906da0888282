package dns

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// reply is an answer as a server would give it. Records are written "NAME TTL TYPE
// DATA"; those of authority and additional come after "authority" and "additional".
func reply(t testing.TB, h dnsmessage.Header, q dnsmessage.Question, records ...string) []byte {
	t.Helper()
	h.Response = true
	m := dnsmessage.Message{Header: h, Questions: []dnsmessage.Question{q}}
	section := &m.Answers
	for _, text := range records {
		switch text {
		case "authority":
			section = &m.Authorities
			continue
		case "additional":
			section = &m.Additionals
			continue
		}
		*section = append(*section, record(t, text))
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func record(t testing.TB, text string) dnsmessage.Resource {
	t.Helper()
	var name, typ, data string
	var ttl uint32
	if _, err := fmt.Sscan(text, &name, &ttl, &typ, &data); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	r := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{
		Name: dnsmessage.MustNewName(name), Class: dnsmessage.ClassINET, TTL: ttl,
	}}
	switch typ {
	case "A":
		r.Body = &dnsmessage.AResource{A: netip.MustParseAddr(data).As4()}
	case "AAAA":
		r.Body = &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr(data).As16()}
	case "CNAME":
		r.Body = &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(data)}
	case "SRV":
		target, port, _ := strings.Cut(data, ":")
		var n uint16
		fmt.Sscan(port, &n)
		r.Body = &dnsmessage.SRVResource{Target: dnsmessage.MustNewName(target), Port: n}
	case "SOA":
		var n uint32
		fmt.Sscan(data, &n)
		r.Body = &dnsmessage.SOAResource{NS: dnsmessage.MustNewName("ns."), MBox: dnsmessage.MustNewName("m."), MinTTL: n}
	case "TXT":
		r.Body = &dnsmessage.TXTResource{TXT: []string{data}}
	default:
		t.Fatalf("%q: type %s", text, typ)
	}
	return r
}

func must(t testing.TB, name string, typ dnsmessage.Type) dnsmessage.Question {
	t.Helper()
	q, err := question(name, typ)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func text(a Answer) string {
	var s []string
	for _, ip := range a.Addrs {
		s = append(s, ip.String())
	}
	for _, x := range a.Services {
		s = append(s, fmt.Sprintf("%s:%d%v", x.Target, x.Port, x.Addrs))
	}
	return strings.Join(append(s, a.TTL.String()), " ")
}

func TestAnswers(t *testing.T) {
	a, aaaa, srv := dnsmessage.TypeA, dnsmessage.TypeAAAA, dnsmessage.TypeSRV
	for _, test := range []struct {
		why     string
		typ     dnsmessage.Type
		records []string
		want    string
	}{
		{"the least TTL counts", a, []string{"n. 30 A 10.0.0.1", "n. 20 A 10.0.0.2"}, "10.0.0.1 10.0.0.2 20s"},
		{"names have no case", a, []string{"N. 30 A 10.0.0.1"}, "10.0.0.1 30s"},
		{"another type", a, []string{"n. 30 AAAA fd00::1", "n. 5 TXT x", "n. 40 A 10.0.0.1"}, "10.0.0.1 40s"},
		{"another name", a, []string{"other. 5 A 10.0.0.9", "n. 30 A 10.0.0.1"}, "10.0.0.1 30s"},
		{"IPv6", aaaa, []string{"n. 30 AAAA fd00::1"}, "fd00::1 30s"},
		{"aliases, in any order", a, []string{"z. 50 A 10.0.0.1", "y. 20 CNAME Z.", "n. 30 CNAME y."}, "10.0.0.1 20s"},
		{"an alias of nothing", a, []string{"n. 30 CNAME y.", "authority", ". 90 SOA 60"}, "30s"},
		{"aliases in a circle", a, []string{"n. 30 CNAME y.", "y. 30 CNAME n."}, "0s"},
		{"a TTL out of range", a, []string{"n. 4294967295 A 10.0.0.1"}, "10.0.0.1 0s"},
		{"services", srv, []string{"n. 30 SRV a.n.:80", "n. 30 SRV B.n.:81"}, "a.n.:80[] b.n.:81[] 30s"},
		{"with addresses", srv, []string{"n. 30 SRV a.n.:80", "additional", "A.n. 20 A 10.0.0.1", "a.n. 25 AAAA fd00::1", "x. 1 A 10.0.0.9"},
			"a.n.:80[10.0.0.1 fd00::1] 20s"},
		{"nothing", a, []string{"authority", ". 90 SOA 60"}, "1m0s"},
		{"nothing, and the SOA will not last", a, []string{"authority", ". 30 SOA 60"}, "30s"},
		{"nothing, for nobody knows how long", a, nil, "0s"},
	} {
		q := must(t, "n.", test.typ)
		got, err := read(reply(t, dnsmessage.Header{ID: 7}, q, test.records...), 7, q)
		if err != nil || text(got) != test.want {
			t.Errorf("%s: %s, %v, want %s", test.why, text(got), err, test.want)
		}
	}
}

func TestNoSuchNameIsAnAnswer(t *testing.T) {
	q := must(t, "n.", dnsmessage.TypeA)
	got, err := read(reply(t, dnsmessage.Header{RCode: dnsmessage.RCodeNameError}, q, "authority", ". 90 SOA 60"), 0, q)
	if err != nil || text(got) != "1m0s" {
		t.Errorf("%s, %v", text(got), err)
	}
}

func TestWhatIsNoAnswer(t *testing.T) {
	q := must(t, "n.", dnsmessage.TypeA)
	good := reply(t, dnsmessage.Header{ID: 7}, q, "n. 30 A 10.0.0.1")
	other := reply(t, dnsmessage.Header{ID: 7}, must(t, "m.", dnsmessage.TypeA), "m. 30 A 10.0.0.9")
	asked, err := ask(7, q, true)
	if err != nil {
		t.Fatal(err)
	}
	for why, msg := range map[string][]byte{
		"nothing": nil, "half a header": good[:6], "another question": other, "a question": asked,
		"another type": reply(t, dnsmessage.Header{ID: 7}, must(t, "n.", dnsmessage.TypeAAAA), "n. 30 AAAA fd00::1"),
		"another ID":   reply(t, dnsmessage.Header{ID: 8}, q, "n. 30 A 10.0.0.9"),
	} {
		if _, err := read(msg, 7, q); !errors.Is(err, errStray) {
			t.Errorf("%s: %v", why, err)
		}
	}
	if _, err := read(good[:len(good)-2], 7, q); err == nil || errors.Is(err, errStray) {
		t.Errorf("an answer that ends too soon: %v", err)
	}
	if _, err := read(reply(t, dnsmessage.Header{ID: 7, Truncated: true}, q), 7, q); !errors.Is(err, errTruncated) {
		t.Errorf("truncated: %v", err)
	}
	for _, questions := range [][]dnsmessage.Question{{q}, nil} {
		m := dnsmessage.Message{Header: dnsmessage.Header{ID: 7, Response: true, RCode: dnsmessage.RCodeServerFailure}, Questions: questions}
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := read(b, 7, q); !errors.As(err, new(failure)) || err.Error() != "the server answers ServerFailure" {
			t.Errorf("a failure with %d questions: %v", len(questions), err)
		}
	}
}

func FuzzRead(f *testing.F) {
	q := must(f, "n.", dnsmessage.TypeSRV)
	f.Add(reply(f, dnsmessage.Header{}, q, "n. 30 SRV a.n.:80", "additional", "a.n. 20 A 10.0.0.1"))
	f.Add(reply(f, dnsmessage.Header{}, q, "n. 30 CNAME m.", "m. 30 SRV a.n.:80"))
	f.Add(reply(f, dnsmessage.Header{}, q, "authority", ". 90 SOA 60"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		a, err := read(msg, 0, q)
		if a.TTL < 0 || err != nil && !a.Empty() || len(a.Addrs) > 0 {
			t.Errorf("%+v, %v", a, err)
		}
	})
}
