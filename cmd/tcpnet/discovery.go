package main

import (
	"context"
	"log/slog"

	"example.com/tcpnet/discovery"
	"example.com/tcpnet/discovery/mdns"
)

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
