package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"example.com/tcpnet/discovery"
	"example.com/tcpnet/discovery/mdns"
	"example.com/tcpnet/internal/dns"
)

// dnsNames checks that each of list can be in the DNS.
func dnsNames(list ...string) error {
	for _, s := range list {
		_, _, err := dns.ParseName(s)
		if errors.Is(err, dns.ErrAddress) {
			return fmt.Errorf("%q: %w: give it to --seed, as HOST:PORT", s, err)
		}
		if err != nil {
			return fmt.Errorf("%q: %w: want NAME or NAME:PORT, such as garden.example.org:4000", s, err)
		}
	}
	return nil
}

// discoverers returns how nodes are found: by mDNS, and by names in the DNS if there
// are any, whose trouble goes to trouble unless logger gets all anyway.
func discoverers(names []string, logger *slog.Logger, trouble func(format string, args ...any)) []discovery.Discoverer {
	all := []discovery.Discoverer{mdns.New(mdns.Options{Logger: logger})}
	if logger == nil {
		logger = slog.New(warnings{trouble})
	}
	for _, name := range names {
		all = append(all, discovery.NewDNS(name, discovery.DNSOptions{Logger: logger}))
	}
	return all
}

// warnings is a [slog.Handler] that says what is wrong.
type warnings struct {
	say func(format string, args ...any)
}

func (warnings) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }
func (w warnings) WithAttrs([]slog.Attr) slog.Handler         { return w }
func (w warnings) WithGroup(string) slog.Handler              { return w }

func (w warnings) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += ": " + a.Value.String()
		return true
	})
	w.say("%s", text)
	return nil
}
