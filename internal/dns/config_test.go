package dns

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestConfigIsReadAsResolvConf(t *testing.T) {
	local := "[127.0.0.1:53]"
	for text, want := range map[string]string{
		"": local + " [] 1 5s 2 false false",
		"nameserver 10.96.0.10\nsearch default.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n":               "[10.96.0.10:53] [default.svc.cluster.local svc.cluster.local cluster.local] 5 5s 2 false false",
		"# a comment\n; another\nnameserver 10.0.0.1 # first\nnameserver fe80::1%eth0\nnameserver 10.0.0.3\nnameserver 10.0.0.4\n": "[10.0.0.1:53 [fe80::1%eth0]:53 10.0.0.3:53] [] 1 5s 2 false false",
		"nameserver nobody\nnameserver\nunheard of\n":                          local + " [] 1 5s 2 false false",
		"domain one\nsearch two three":                                         local + " [two three] 1 5s 2 false false",
		"search two three\ndomain one":                                         local + " [one] 1 5s 2 false false",
		"options ndots:99 timeout:99 attempts:99 rotate use-vc edns0":          local + " [] 15 30s 5 true true",
		"options ndots:0 timeout:0 attempts:0":                                 local + " [] 0 1s 1 false false",
		"options ndots:x timeout:-3 attempts":                                  local + " [] 1 5s 2 false false",
		"options timeout:2 attempts:3\r\nnameserver 10.0.0.1\r\noptions\r\n\t": "[10.0.0.1:53] [] 1 2s 3 false false",
	} {
		c := parseConfig(text)
		got := fmt.Sprint(c.Servers, c.Search, c.Dots, c.Timeout, c.Attempts, c.Rotate, c.TCP)
		if got != want {
			t.Errorf("%q:\n%s, want\n%s", text, got, want)
		}
	}
}

func TestNamesAreCompletedAsTheSystemDoes(t *testing.T) {
	k8s := Config{Search: []string{"default.svc.cluster.local", "cluster.local."}, Dots: 5}
	plain := For()
	for _, test := range []struct {
		c    *Config
		name string
		want []string
	}{
		{&k8s, "tcpnet", []string{"tcpnet.default.svc.cluster.local.", "tcpnet.cluster.local.", "tcpnet."}},
		{&k8s, "a.b.c.d.e.f", []string{"a.b.c.d.e.f.", "a.b.c.d.e.f.default.svc.cluster.local.", "a.b.c.d.e.f.cluster.local."}},
		{&k8s, "tcpnet.default.svc.cluster.local.", []string{"tcpnet.default.svc.cluster.local."}},
		{&plain, "tcpnet", []string{"tcpnet."}},
	} {
		if got := test.c.Names(test.name); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
	if c := For(); c.Timeout != 5*time.Second || c.Attempts != 2 {
		t.Error(c)
	}
}
