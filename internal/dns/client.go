package dns

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"golang.org/x/net/dns/dnsmessage"
)

// Services asks for the SRV records of a full name.
func (c *Config) Services(ctx context.Context, name string) (Answer, error) {
	return c.query(ctx, name, dnsmessage.TypeSRV)
}

// Addrs asks for the A and AAAA records of a full name. If only one of the two
// questions is answered, that has to do, unless it says that there is nothing.
func (c *Config) Addrs(ctx context.Context, name string) (Answer, error) {
	var four, six Answer
	var err4, err6 error
	var wg sync.WaitGroup
	wg.Go(func() { four, err4 = c.query(ctx, name, dnsmessage.TypeA) })
	wg.Go(func() { six, err6 = c.query(ctx, name, dnsmessage.TypeAAAA) })
	wg.Wait()
	switch {
	case err4 == nil && err6 == nil:
		a := Answer{Addrs: append(four.Addrs, six.Addrs...), TTL: min(four.TTL, six.TTL)}
		if four.Empty() != six.Empty() { // of one kind only, which is no reason to ask sooner
			if four.Empty() {
				a.TTL = six.TTL
			} else {
				a.TTL = four.TTL
			}
		}
		return a, nil
	case err4 == nil && !four.Empty():
		return four, nil
	case err6 == nil && !six.Empty():
		return six, nil
	}
	return Answer{}, errors.Join(err4, err6)
}

// query asks the servers in turn until one answers.
func (c *Config) query(ctx context.Context, name string, typ dnsmessage.Type) (Answer, error) {
	q, err := question(name, typ)
	if err != nil {
		return Answer{}, err
	}
	if len(c.Servers) == 0 {
		return Answer{}, errors.New("no server to ask")
	}
	first := 0
	if c.Rotate {
		first = rand.IntN(len(c.Servers))
	}
	for range c.Attempts {
		for i := range c.Servers {
			server := c.Servers[(first+i)%len(c.Servers)]
			a, xerr := exchange(ctx, server, q, c.TCP, c.Timeout)
			if xerr == nil {
				return a, nil
			}
			if ctx.Err() != nil {
				return Answer{}, ctx.Err()
			}
			err = fmt.Errorf("ask %v for %s of %s: %w", server, typeText(typ), name, xerr)
		}
	}
	return Answer{}, err
}

func typeText(t dnsmessage.Type) string { return t.String()[len("Type"):] }
