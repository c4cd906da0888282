package discovery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"example.com/tcpnet/internal/dns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A zone is a resolver that knows what it was told.
type zone struct {
	mu      sync.Mutex // guards what follows
	search  []string
	records map[string]string // "SRV NAME" or "A NAME": "TTL VALUE..."; "!" is a failure
	slow    time.Duration     // how long each answer takes
	asked   []string
}

func (z *zone) Names(name string) []string {
	c := dns.For()
	c.Search, c.Dots = z.search, 5
	return c.Names(name)
}

func (z *zone) set(key, value string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.records == nil {
		z.records = map[string]string{}
	}
	z.records[key] = value
}

func (z *zone) take() []string {
	z.mu.Lock()
	defer z.mu.Unlock()
	defer func() { z.asked = nil }()
	return z.asked
}

// takes has each answer take that long from now on.
func (z *zone) takes(d time.Duration) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.slow = d
}

func (z *zone) ask(ctx context.Context, key string) (ttl time.Duration, values []string, err error) {
	z.mu.Lock()
	z.asked = append(z.asked, key)
	text, slow := z.records[key], z.slow
	z.mu.Unlock()
	select {
	case <-ctx.Done():
		return 0, nil, ctx.Err()
	case <-time.After(slow):
	}
	if text == "" {
		return time.Minute, nil, nil
	}
	if text == "!" {
		return 0, nil, errors.New("the server is on fire")
	}
	values = strings.Fields(text)
	ttl, err = time.ParseDuration(values[0])
	if err != nil {
		panic(err)
	}
	return ttl, values[1:], nil
}

func (z *zone) Services(ctx context.Context, name string) (a dns.Answer, err error) {
	ttl, values, err := z.ask(ctx, "SRV "+name)
	a.TTL = ttl
	for _, v := range values {
		host, port, _ := strings.Cut(v, ":")
		s := dns.Service{Target: host}
		fmt.Sscan(port, &s.Port)
		a.Services = append(a.Services, s)
	}
	return a, err
}

func (z *zone) Addrs(ctx context.Context, name string) (a dns.Answer, err error) {
	ttl, values, err := z.ask(ctx, "A "+name)
	a.TTL = ttl
	for _, v := range values {
		a.Addrs = append(a.Addrs, netip.MustParseAddr(v))
	}
	return a, err
}

// A recorder is a sink that knows which addresses it was told of and when.
type recorder struct {
	mu    sync.Mutex // guards addrs
	addrs []string
}

func (r *recorder) Foreign(Foreign) {}

func (r *recorder) Found(c Candidate) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range c.Addrs {
		if !slices.Contains(r.addrs, a.String()) {
			r.addrs = append(r.addrs, a.String())
		}
	}
}

func (r *recorder) Withdraw(addrs []netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range addrs {
		i := slices.Index(r.addrs, a.String())
		if i < 0 {
			panic("withdrawn without having been found: " + a.String())
		}
		r.addrs = slices.Delete(r.addrs, i, i+1)
	}
}

func (r *recorder) known() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprint(slices.Sorted(slices.Values(r.addrs)))
}

// finding starts a discoverer that asks z, in a bubble. change tells it that the
// network has changed.
func finding(t *testing.T, name string, z *zone) (r *recorder, change func()) {
	t.Helper()
	r = &recorder{}
	f := NewDNS(name, DNSOptions{}).(*dnsFinder)
	f.open = func() (resolver, error) { return z, nil }
	watching := false
	f.watch = func(changed func()) func() {
		watching, change = true, changed
		return func() { watching = false }
	}
	s, err := f.Start(t.Context(), Self{Cluster: "x", ID: "1", Port: 4000}, r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		if watching {
			t.Error("the network is still watched")
		}
	})
	synctest.Wait()
	return r, change
}

func TestWhatANameInTheDNSStandsFor(t *testing.T) {
	all := map[string]string{
		"SRV _tcpnet._tcp.n.": "1m a.:1 b.:2", "SRV n.": "1m b.:3 gone.:4", "A n.": "1m 10.0.0.9 fd00::9",
		"A a.": "1m 10.0.0.1", "A b.": "1m 10.0.0.2 fd00::2", "A gone.": "1m",
	}
	but := func(without ...string) map[string]string {
		m := map[string]string{}
		for k, v := range all {
			if !slices.Contains(without, k) {
				m[k] = v
			}
		}
		return m
	}
	for _, test := range []struct {
		name    string
		records map[string]string
		want    string
	}{
		{"n", all, "[10.0.0.1:1 10.0.0.2:2 [fd00::2]:2]"},
		{"n", but("SRV _tcpnet._tcp.n."), "[10.0.0.2:3 [fd00::2]:3]"},
		{"n", but("SRV _tcpnet._tcp.n.", "SRV n."), "[10.0.0.9:4000 [fd00::9]:4000]"},
		{"n:77", all, "[10.0.0.9:77 [fd00::9]:77]"},
		{"_tcpnet._tcp.n", all, "[10.0.0.1:1 10.0.0.2:2 [fd00::2]:2]"},
		{"n.", all, "[10.0.0.1:1 10.0.0.2:2 [fd00::2]:2]"},
		{"n", nil, "[]"},
		// What cannot be dialled is left out.
		{"n", map[string]string{"SRV n.": "1m .:80 a.:0 a.:1 a.:1", "A a.": "1m 10.0.0.1 0.0.0.0 224.0.0.1"}, "[10.0.0.1:1]"},
	} {
		synctest.Test(t, func(t *testing.T) {
			r, _ := finding(t, test.name, &zone{records: test.records})
			if got := r.known(); got != test.want {
				t.Errorf("%s of %v: %s, want %s", test.name, test.records, got, test.want)
			}
		})
	}
}

func TestANameIsCompleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{search: []string{"one", "two"}, records: map[string]string{"A n.two.": "10s 10.0.0.1", "A n.": "10s 10.0.0.2"}}
		r, _ := finding(t, "n:80", z)
		if got := r.known(); got != "[10.0.0.1:80]" {
			t.Error(got)
		}
		if got := fmt.Sprint(z.take()); got != "[A n.one. A n.two.]" {
			t.Error("asked at first for", got)
		}
		// The one that existed is asked for first from then on.
		time.Sleep(11 * time.Second)
		if got := fmt.Sprint(z.take()); got != "[A n.two.]" {
			t.Error("asked then for", got)
		}
		z.set("A n.two.", "")
		time.Sleep(11 * time.Second)
		if got := r.known(); got != "[10.0.0.2:80]" {
			t.Error("when it is gone:", got)
		}
	})
}

// A name that is gone is gone, even if a server does not want to be asked for what
// else it may stand for.
func TestANameThatWasCompletedIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{search: []string{"one"}, records: map[string]string{"A n.one.": "10s 10.0.0.1", "A n.": "!"}}
		r, _ := finding(t, "n:80", z)
		z.set("A n.one.", "")
		time.Sleep(11 * time.Second)
		if got := r.known(); got != "[]" {
			t.Error(got)
		}
	})
}

// A host that stays unknown does not keep the addresses that the others ever had.
func TestAHostThatStaysUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{records: map[string]string{"SRV n.": "1s a.:1 b.:1", "A a.": "1s 10.0.0.0", "A b.": "!"}}
		r, _ := finding(t, "n", z)
		for i := range 400 {
			z.set("A a.", fmt.Sprintf("1s 10.0.%d.%d", (i+1)/200, (i+1)%200))
			time.Sleep(time.Hour)
		}
		if got := strings.Fields(r.known()); len(got) != maxDNSKept+1 {
			t.Errorf("%d are kept: %v", len(got)-1, got)
		}
		if got := r.known(); !strings.Contains(got, " 10.0.2.0:1") || strings.Contains(got, " 10.0.0.1:1 ") {
			t.Error(got)
		}
	})
}

func TestRecordsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{records: map[string]string{"A n.": "30s 10.0.0.1 10.0.0.2"}}
		r, _ := finding(t, "n:80", z)
		z.set("A n.", "30s 10.0.0.2 10.0.0.3")
		time.Sleep(30*time.Second - time.Millisecond)
		if got := r.known(); got != "[10.0.0.1:80 10.0.0.2:80]" {
			t.Error("before the TTL is over:", got)
		}
		time.Sleep(4 * time.Second)
		if got := r.known(); got != "[10.0.0.2:80 10.0.0.3:80]" {
			t.Error("after it:", got)
		}
		// Nothing is withdrawn while the DNS cannot be asked.
		z.set("A n.", "!")
		time.Sleep(time.Hour)
		if got := r.known(); got != "[10.0.0.2:80 10.0.0.3:80]" {
			t.Error("while the DNS fails:", got)
		}
		z.set("A n.", "")
		time.Sleep(10 * time.Minute)
		if got := r.known(); got != "[]" {
			t.Error("when there are no records:", got)
		}
	})
}

// If some hosts cannot be looked up, the others are found and none is withdrawn.
func TestSomeHostsCannotBeLookedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{records: map[string]string{"SRV n.": "10s a.:1 b.:1", "A a.": "10s 10.0.0.1", "A b.": "10s 10.0.0.2"}}
		r, _ := finding(t, "n", z)
		z.set("A b.", "!")
		z.set("A a.", "10s 10.0.0.3")
		time.Sleep(time.Minute)
		if got := r.known(); got != "[10.0.0.1:1 10.0.0.2:1 10.0.0.3:1]" {
			t.Error(got)
		}
		z.set("A b.", "10s 10.0.0.2")
		time.Sleep(10 * time.Minute)
		if got := r.known(); got != "[10.0.0.2:1 10.0.0.3:1]" {
			t.Error(got)
		}
	})
}

// What a server has no answer to is passed over: the next that the name stands for is
// found, and nothing is withdrawn, because the server may have records.
func TestSomeOfWhatANameStandsForCannotBeAskedFor(t *testing.T) {
	all := map[string]string{
		"SRV _tcpnet._tcp.n.": "10s a.:1", "SRV n.": "10s a.:2", "A n.": "10s 10.0.0.9", "A a.": "10s 10.0.0.1",
	}
	for _, test := range []struct {
		failing []string
		want    string
	}{
		{[]string{"SRV _tcpnet._tcp.n."}, "[10.0.0.1:1 10.0.0.1:2]"},
		{[]string{"SRV _tcpnet._tcp.n.", "SRV n."}, "[10.0.0.1:1 10.0.0.9:4000]"},
		{[]string{"SRV _tcpnet._tcp.n.", "SRV n.", "A n."}, "[10.0.0.1:1]"},
	} {
		synctest.Test(t, func(t *testing.T) {
			z := &zone{records: maps.Clone(all)}
			r, _ := finding(t, "n", z)
			if got := r.known(); got != "[10.0.0.1:1]" {
				t.Fatal("at first:", got)
			}
			for _, key := range test.failing {
				z.set(key, "!")
			}
			time.Sleep(time.Hour)
			if got := r.known(); got != test.want {
				t.Errorf("without %v: %s, want %s", test.failing, got, test.want)
			}
			for _, key := range test.failing {
				z.set(key, all[key])
			}
			time.Sleep(10 * time.Minute)
			if got := r.known(); got != "[10.0.0.1:1]" {
				t.Errorf("after it was without %v: %s", test.failing, got)
			}
		})
	}
}

func TestTheDNSIsAskedAsOftenAsItSays(t *testing.T) {
	for _, test := range []struct {
		answer      string
		least, most int // questions in an hour
	}{
		{"30s 10.0.0.1", 108, 121},
		{"0s 10.0.0.1", 650, 721}, // not more often than every 5 s
		{"24h 10.0.0.1", 10, 13},  // at least every 5 min
		{"", 54, 61},              // none: for as long as the zone says
		{"!", 14, 35},             // at longer and longer intervals
	} {
		synctest.Test(t, func(t *testing.T) {
			z := &zone{}
			z.set("A n.", test.answer)
			finding(t, "n:80", z)
			time.Sleep(time.Hour)
			if n := len(z.take()); n < test.least || n > test.most {
				t.Errorf("%q: asked %d times in an hour, want %d to %d", test.answer, n, test.least, test.most)
			}
		})
	}
}

func TestTheDNSIsAskedWhenTheNetworkChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{records: map[string]string{"A n.": "5m 10.0.0.1"}}
		_, change := finding(t, "n:80", z)
		time.Sleep(time.Minute)
		z.take()
		change()
		synctest.Wait()
		if n := len(z.take()); n != 1 {
			t.Errorf("asked %d times", n)
		}
		for range 100 { // a network that never rests
			change()
			time.Sleep(10 * time.Millisecond)
		}
		if n := len(z.take()); n > 2 {
			t.Errorf("asked %d times within a second", n)
		}
	})
}

// What is asked of the servers of a network that is gone is not waited for.
func TestALookupIsStartedOverWhenTheNetworkChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{records: map[string]string{"A n.": "5m 10.0.0.1"}, slow: time.Minute}
		r, change := finding(t, "n:80", z)
		time.Sleep(dnsChangeGap / 2)
		z.takes(0)
		z.set("A n.", "5m 10.0.0.2")
		change()
		time.Sleep(dnsChangeGap)
		if got := r.known(); got != "[10.0.0.2:80]" {
			t.Error(got)
		}
		time.Sleep(2 * time.Minute)
		if got := fmt.Sprintf("%v %v", z.take(), r.known()); got != "[A n. A n.] [10.0.0.2:80]" {
			t.Error("asked for and known:", got)
		}
	})
}

// A change is not forgotten if the lookup that was under way is answered in time.
func TestTheNetworkChangesDuringALookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{records: map[string]string{"A n.": "5m 10.0.0.1"}, slow: dnsChangeGap / 2}
		r, change := finding(t, "n:80", z)
		change()
		time.Sleep(dnsChangeGap * 3 / 4)
		if got := r.known(); got != "[10.0.0.1:80]" {
			t.Error("at first:", got)
		}
		z.set("A n.", "5m 10.0.0.2")
		time.Sleep(2 * dnsChangeGap)
		if got := r.known(); got != "[10.0.0.2:80]" {
			t.Error("after the change:", got)
		}
	})
}

// In a network that never rests, slow servers get to answer all the same.
func TestSlowServersInANetworkThatNeverRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{records: map[string]string{"A n.": "5m 10.0.0.1"}, slow: 5 * dnsChangeGap}
		r, change := finding(t, "n:80", z)
		for range 600 {
			change()
			time.Sleep(dnsChangeGap / 10)
		}
		if got := r.known(); got != "[10.0.0.1:80]" {
			t.Errorf("%s, having asked for %v", got, z.take())
		}
	})
}

func TestFailuresAreRetriedSoonAtFirst(t *testing.T) {
	r := refresh{least: 5 * time.Second, most: 5 * time.Minute}
	for _, most := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300} {
		most *= time.Second
		if d := r.next(0, errors.New("no")); d < most/2 || d > most {
			t.Errorf("%v, want at most %v", d, most)
		}
	}
	r.next(time.Minute, nil)
	if d := r.next(0, errors.New("no")); d > time.Second {
		t.Errorf("after an answer: %v", d)
	}
}

func TestNamesOfTheDNSThatAreNone(t *testing.T) {
	for name, why := range map[string]string{
		"": "empty", "n:0": "port", "a..b": "nothing between", "my garden": "cannot have", strings.Repeat("x", 64): "at most 63",
		"10.0.0.1": "Config.Seeds", "10.0.0.1:80": "Config.Seeds", "[fd00::1]:80": "Config.Seeds", "fd00::1": "Config.Seeds",
	} {
		s, err := DNS(name).Start(t.Context(), Self{ID: "1", Port: 1}, &recorder{})
		if err == nil {
			s.Close()
			t.Errorf("%q is taken", name)
		} else if !strings.Contains(err.Error(), fmt.Sprintf("%q", name)) || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v, want %q", name, err, why)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := DNS("n").Start(ended, Self{ID: "1", Port: 1}, &recorder{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
