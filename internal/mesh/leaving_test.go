package mesh

import (
	"net/netip"
	"testing"
	"time"

	"example.com/tcpnet/internal/link"
)

// Which of those with one ID a goodbye takes along.
func TestAGoodbyeIsItsSendersOnly(t *testing.T) {
	now := time.Now()
	at := func(addrs ...string) (s *session) {
		s = &session{hello: &link.Hello{Incarnation: link.Incarnation{byte(len(addrs)), 1}}}
		for _, a := range addrs {
			s.hello.Addrs = append(s.hello.Addrs, netip.MustParseAddrPort(a))
		}
		return s
	}
	mine := at("10.0.0.1:7", "172.17.0.1:7")
	for name, tc := range map[string]struct {
		lost []*session
		ago  time.Duration // since the last loss
		from *session      // who says goodbye
		left bool
	}{
		"nobody was lost":               {from: mine, left: true},
		"another is lost":               {lost: []*session{at("10.0.0.2:7")}, from: mine},
		"long ago":                      {lost: []*session{at("10.0.0.2:7")}, ago: 2 * time.Hour, from: mine, left: true},
		"on its own machine":            {lost: []*session{at("10.0.0.1:8")}, from: mine, left: true},
		"with an address that all have": {lost: []*session{at("10.0.0.2:7", "172.17.0.1:7", "10.1.0.2:7")}, from: mine},
		"two, and one comes and goes":   {lost: []*session{at("10.0.0.2:7"), at("10.0.0.1:8", "10.1.0.1:8")}, from: mine},
		"it does not say where it was":  {lost: []*session{at()}, from: mine, left: true},
		"it does not say where it is":   {lost: []*session{at("10.0.0.2:7")}, from: at()},
		"many": {
			lost: []*session{at("10.0.0.2:7"), at("10.0.0.3:7"), at("10.0.0.4:7"), at("10.0.0.5:7")}, from: mine,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := &peer{}
			for i, s := range tc.lost {
				s.hello.Incarnation[1] = byte(i)
				p.lose(now, s)
			}
			if len(p.losses) > maxLosses {
				t.Errorf("%d losses are remembered", len(p.losses))
			}
			then := now.Add(tc.ago)
			(&core{}).gone(then, p, tc.from.hello.Addrs)
			if got := p.hasLeft(then); got != tc.left {
				t.Errorf("has left: %v", got)
			}
			if late := then.Add(2 * rememberLost); !p.hasLeft(late) {
				t.Error("two hours later it has not left")
			}
		})
	}
}
