package mdns

import (
	"strings"
	"testing"
)

func TestServiceType(t *testing.T) {
	for _, test := range []struct {
		cluster string
		want    string // empty: a hash
	}{
		{"chat", "_chat._tcp.local."},
		{"Chat", "_chat._tcp.local."},
		{"a", "_a._tcp.local."},
		{"x-9", "_x-9._tcp.local."},
		{"0123456789abcde", "_0123456789abcde._tcp.local."},
		{"0123456789abcdef", ""},
		{"123", ""},
		{"-a", ""},
		{"a-", ""},
		{"a--b", ""},
		{"a_b", ""},
		{"a.b", ""},
		{"a b", ""},
		{"ünïcode", ""},
		{strings.Repeat("long ", 1000), ""},
	} {
		got, hashed := serviceType(test.cluster)
		if hashed != (test.want == "") || !hashed && got != test.want {
			t.Errorf("%q: %s, hashed %v", test.cluster, got, hashed)
		}
		name := strings.TrimSuffix(strings.TrimPrefix(got, "_"), "._tcp.local.")
		if !legalServiceName(name) {
			t.Errorf("%q: %s is not a legal type", test.cluster, got)
		}
	}
	a, _ := serviceType("a b")
	b, _ := serviceType("A b")
	if a == b {
		t.Error("names that differ by case alone are told apart by their hash")
	}
}

func TestNodeTXT(t *testing.T) {
	for _, test := range []struct {
		name, cluster, id string
	}{
		{"legal", "chat", "AB"},
		{"any name", "my chat", "AB"},
		{"long name", strings.Repeat("é", 500), "AB"},
		{"long ID", "chat", strings.Repeat("AB", 126)},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !validID(test.id) {
				t.Fatal("not a valid ID")
			}
			_, hashed := serviceType(test.cluster)
			txt := nodeTXT(test.cluster, hashed, test.id)
			for _, s := range txt {
				if len(s) > maxTXT {
					t.Errorf("a string of %d bytes", len(s))
				}
			}
			if l := instanceLabel(test.id); len(l) > 63 {
				t.Errorf("a label of %d bytes", len(l))
			}
			if v, _ := attribute(txt, "V"); v != "1" {
				t.Errorf("v is %q", v)
			}
			if _, ok := attribute(txt, "name"); ok != hashed {
				t.Errorf("name is given: %v", ok)
			}
			if id, ok := attribute(txt, "id"); ok && id != test.id {
				t.Errorf("id is %q", id)
			}
			// What was announced is judged to be a node of that cluster.
			r := &reporter{cluster: test.cluster, hashed: hashed}
			if id, why := r.judge(&instance{label: instanceLabel(test.id), txt: txt}); id != test.id || why != "" {
				t.Errorf("judged as %q: %s", id, why)
			}
			r.cluster += "x"
			if id, _ := r.judge(&instance{label: instanceLabel(test.id), txt: txt}); hashed && len(test.cluster) < 200 && id != "" {
				t.Error("taken for a node of another cluster")
			}
		})
	}
}

func TestAttribute(t *testing.T) {
	txt := []string{"", "=odd", "flag", "K=first", "k=second"}
	if v, ok := attribute(txt, "k"); !ok || v != "first" {
		t.Errorf("k is %q, %v", v, ok)
	}
	if v, ok := attribute(txt, "flag"); !ok || v != "" {
		t.Errorf("flag is %q, %v", v, ok)
	}
	if _, ok := attribute(txt, "none"); ok {
		t.Error("none is there")
	}
}
