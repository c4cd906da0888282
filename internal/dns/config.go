package dns

import (
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

// Path is where systems other than Windows keep their configuration.
const Path = "/etc/resolv.conf"

// Config says whom to ask and how: see resolv.conf(5).
type Config struct {
	Servers  []netip.AddrPort
	Search   []string      // domains that names are completed with
	Dots     int           // a name with fewer is completed first
	Timeout  time.Duration // of one question to one server
	Attempts int           // rounds of all servers
	Rotate   bool          // begin with any of the servers
	TCP      bool          // ask by TCP only
}

// The defaults and bounds of resolv.conf(5).
const (
	port            = 53
	defaultDots     = 1
	maxDots         = 15
	defaultTimeout  = 5 * time.Second
	maxTimeout      = 30 * time.Second
	defaultAttempts = 2
	maxAttempts     = 5
	maxServers      = 3
	maxSearch       = 32
)

// For returns a configuration with these servers and the defaults for all else.
func For(servers ...netip.AddrPort) Config {
	return Config{Servers: servers, Dots: defaultDots, Timeout: defaultTimeout, Attempts: defaultAttempts}
}

// Load reads a configuration in the form of resolv.conf(5).
func Load(path string) (Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, err
	}
	return parseConfig(string(text)), nil
}

// parseConfig reads what it understands and skips what it does not, as resolvers do.
func parseConfig(text string) Config {
	c := For()
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		line, _, _ = strings.Cut(line, ";")
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "nameserver":
			if a, err := netip.ParseAddr(f[1]); err == nil && len(c.Servers) < maxServers {
				c.Servers = append(c.Servers, netip.AddrPortFrom(a, port))
			}
		case "domain":
			c.Search = f[1:2]
		case "search":
			c.Search = f[1:min(len(f), maxSearch+1)]
		case "options":
			for _, o := range f[1:] {
				c.option(o)
			}
		}
	}
	if len(c.Servers) == 0 {
		c.Servers = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)}
	}
	return c
}

func (c *Config) option(text string) {
	name, value, _ := strings.Cut(text, ":")
	n, err := strconv.Atoi(value)
	number := err == nil && n >= 0
	switch {
	case name == "ndots" && number:
		c.Dots = min(n, maxDots)
	case name == "timeout" && number:
		c.Timeout = min(max(time.Duration(n), 1)*time.Second, maxTimeout)
	case name == "attempts" && number:
		c.Attempts = min(max(n, 1), maxAttempts)
	case name == "rotate":
		c.Rotate = true
	case name == "use-vc":
		c.TCP = true
	}
}

// Names returns the full names, with a dot at the end, that a name may stand for,
// in the order in which they are to be asked for.
func (c *Config) Names(name string) []string {
	if strings.HasSuffix(name, ".") {
		return []string{name}
	}
	var names []string
	for _, domain := range c.Search {
		if domain = strings.TrimSuffix(domain, "."); domain != "" {
			names = append(names, name+"."+domain+".")
		}
	}
	full := name + "."
	if strings.Count(name, ".") >= c.Dots {
		return append([]string{full}, names...)
	}
	return append(names, full)
}
