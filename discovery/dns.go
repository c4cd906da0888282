package discovery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"example.com/tcpnet/internal/dns"
	"example.com/tcpnet/internal/netstack"
	"example.com/tcpnet/internal/netwatch"
)

// DNSOptions are what can be chosen of [NewDNS]. The zero value is fit for use.
type DNSOptions struct {
	// Servers are the DNS servers to ask. The default is those of the system:
	// /etc/resolv.conf, which is read anew each time, or where there is none,
	// as on Windows, whatever the standard library asks.
	Servers []netip.AddrPort

	// MinInterval and MaxInterval are how soon and how late it is asked anew,
	// whatever TTL an answer has. The defaults are 5 s and 5 min.
	MinInterval, MaxInterval time.Duration

	// Logger gets what people may want to know, such as that the DNS does not
	// answer. Nil means the node's own.
	Logger *slog.Logger
}

// DNS returns a Discoverer that finds nodes by a name in the DNS: a headless service
// of Kubernetes, a service of Consul or Docker, or records that somebody wrote. It
// announces nothing; whoever runs the DNS does that.
//
// A name alone, such as "tcpnet.default.svc.cluster.local", stands for the first of
// these that exists:
//
//  1. SRV records of _tcpnet._tcp.NAME. In Kubernetes that is the port named
//     "tcpnet" of the service.
//  2. SRV records of NAME itself, as Consul has them and as a full name such as
//     "_mesh._tcp.example.org" means them.
//  3. A and AAAA records of NAME, all at the port on which the node itself
//     listens: give the nodes one port by Config.Addr.
//
// If it cannot be told whether one exists, the next is taken for the time being.
//
// NAME:PORT stands for the A and AAAA records of NAME at that port. All records
// count; the priorities and weights of SRV records do not, as a node is wanted
// connected with all others.
//
// A name is completed as the system does it (resolv.conf: search, ndots), unless it
// ends in a dot. /etc/hosts is not looked at: Config.Seeds does that.
//
// It is asked again when the TTL of what was answered is over, at the latest after
// 5 minutes, and after each change of the machine's network; that there are no
// records is believed for as long as the zone says (RFC 2308). A lookup that is under
// way when the network changes is started over if it is not answered within a second.
// Addresses that are not in the DNS any more are withdrawn. While the DNS cannot be
// asked, nothing is; while it can be asked for a part only, the newest 256 that are
// missing are kept.
//
// What cannot be a name of hosts, such as an IP address, which is for Config.Seeds, or
// one with a space, is an error of Start, and so of tcpnet.Join, that says why.
func DNS(name string) Discoverer { return NewDNS(name, DNSOptions{}) }

// NewDNS is [DNS] with options.
func NewDNS(name string, o DNSOptions) Discoverer {
	if o.MinInterval <= 0 {
		o.MinInterval = 5 * time.Second
	}
	if o.MaxInterval <= 0 {
		o.MaxInterval = 5 * time.Minute
	}
	o.Servers = slices.Clone(o.Servers)
	return &dnsFinder{name: name, options: o, open: o.open, watch: watch}
}

type dnsFinder struct {
	name    string
	options DNSOptions
	open    func() (resolver, error)
	watch   func(changed func()) (cancel func())
}

// A resolver asks the DNS.
type resolver interface {
	// Names returns the full names that a name may stand for.
	Names(name string) []string
	// Services asks for SRV records, Addrs for A and AAAA records.
	Services(ctx context.Context, name string) (dns.Answer, error)
	Addrs(ctx context.Context, name string) (dns.Answer, error)
}

// open returns the resolver to ask now.
func (o *DNSOptions) open() (resolver, error) {
	if len(o.Servers) > 0 {
		c := dns.For(o.Servers...)
		return &c, nil
	}
	c, err := dns.Load(dns.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return dns.System{}, nil
	}
	return &c, err
}

func watch(changed func()) (cancel func()) {
	return netwatch.Subscribe(func(netwatch.Event) { changed() })
}

// Start implements [Discoverer].
func (f *dnsFinder) Start(ctx context.Context, self Self, sink Sink) (io.Closer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	name, port, err := dns.ParseName(f.name)
	if err != nil {
		if errors.Is(err, dns.ErrAddress) {
			err = fmt.Errorf("%w: give it to Config.Seeds, with a port", err)
		}
		return nil, fmt.Errorf("discovery: DNS name %q: %w", f.name, err)
	}
	open, watch := f.open, f.watch
	if h, ok := netstack.From(ctx); ok {
		open = func() (resolver, error) { return simulated{h}, nil }
		watch = func(changed func()) func() { return h.Watch(func(netwatch.Event) { changed() }) }
	}
	log := f.options.Logger
	if log == nil {
		log = Logger(sink)
	}
	within, cancel := context.WithCancel(context.Background())
	s := &dnsSession{
		name: f.name, open: open, watch: watch, sink: sink, log: log,
		query:    dnsQuery{name: name, port: port, own: self.Port},
		schedule: refresh{least: f.options.MinInterval, most: f.options.MaxInterval},
		cancel:   cancel, done: make(chan struct{}),
	}
	go s.run(within)
	return s, nil
}

// A dnsSession asks again and again.
type dnsSession struct {
	name     string
	open     func() (resolver, error)
	watch    func(changed func()) (cancel func())
	query    dnsQuery
	sink     Sink
	log      *slog.Logger
	schedule refresh
	known    []netip.AddrPort // reported, and not withdrawn
	told     string           // the trouble that was logged last
	cancel   context.CancelFunc
	done     chan struct{}
}

// Close implements [io.Closer].
func (s *dnsSession) Close() error {
	s.cancel()
	<-s.done
	return nil
}

// dnsChangeGap is the least time between two lookups, however often the network
// changes.
const dnsChangeGap = time.Second

// maxDNSAbandoned is how often a lookup is given twice the time of the one before, which
// was abandoned: up to a minute, in which several servers may fail to answer.
const maxDNSAbandoned = 6

func (s *dnsSession) run(ctx context.Context) {
	defer close(s.done)
	changed := make(chan struct{}, 1)
	defer s.watch(func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var (
		answer    <-chan dnsAnswer // of the lookup under way, if there is one
		began     time.Time        // when the last lookup did
		again     bool             // the network has changed since
		abandoned int              // lookups in a row
	)
	abandon := func() {}
	defer func() { abandon() }()
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
			// A lookup under way may be asking servers that are out of reach now. It is
			// given more and more time, for a network that never rests.
			again = true
			s.schedule.failures = 0
			timer.Reset(max(time.Until(began.Add(dnsChangeGap<<abandoned)), 0))
		case <-timer.C:
			if answer != nil {
				abandon()
				abandoned = min(abandoned+1, maxDNSAbandoned)
			}
			again, began = false, time.Now()
			answer, abandon = s.lookup(ctx)
		case a := <-answer:
			abandon()
			if ctx.Err() != nil {
				return
			}
			answer, abandoned = nil, 0
			s.report(a.found, a.err)
			wait := s.schedule.next(a.ttl, a.err)
			s.log.Debug("asked the DNS", "name", s.name, "addrs", a.found, "ttl", a.ttl, "again", wait, "err", a.err)
			if !again {
				timer.Reset(wait)
			}
		}
	}
}

// A dnsAnswer is what a lookup comes to: see [dnsQuery.resolve].
type dnsAnswer struct {
	found []netip.AddrPort
	ttl   time.Duration
	err   error
}

// lookup begins to ask. abandon waits for the end of that, which is soon.
func (s *dnsSession) lookup(ctx context.Context) (answer <-chan dnsAnswer, abandon func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan dnsAnswer, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		done <- s.ask(ctx)
	}()
	return done, func() {
		cancel()
		<-ended
	}
}

func (s *dnsSession) ask(ctx context.Context) (a dnsAnswer) {
	r, err := s.open()
	if err != nil {
		return dnsAnswer{err: err}
	}
	a.found, a.ttl, a.err = s.query.resolve(ctx, r)
	return a
}

// maxDNSKept is how many addresses are still believed in that were found before and not
// now, because not all could be asked for: one host that stays unknown must not keep all
// that ever had the others.
const maxDNSKept = maxDNSTargets

// report passes on what was found. With an error that need not be all.
func (s *dnsSession) report(found []netip.AddrPort, err error) {
	if len(found) > 0 {
		s.sink.Found(Candidate{Addrs: found, Source: "dns"})
	}
	var gone, kept []netip.AddrPort
	for _, a := range s.known {
		switch {
		case slices.Contains(found, a):
		case err != nil:
			kept = append(kept, a)
		default:
			gone = append(gone, a)
		}
	}
	if over := len(kept) - maxDNSKept; over > 0 && len(found) > 0 {
		gone, kept = append(gone, kept[:over]...), kept[over:] // the oldest
	}
	s.known = append(kept, found...)
	if w, ok := s.sink.(Withdrawer); ok && len(gone) > 0 {
		w.Withdraw(gone)
	}
	trouble := ""
	switch {
	case err != nil:
		trouble = err.Error()
	case len(found) == 0:
		trouble = "there are no records"
	}
	if trouble != s.told {
		if trouble != "" {
			s.log.Warn("no nodes from the DNS", "name", s.name, "err", trouble)
		} else {
			s.log.Info("the DNS tells of nodes again", "name", s.name, "addrs", found)
		}
		s.told = trouble
	}
}
