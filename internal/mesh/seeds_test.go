package mesh

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"example.com/tcpnet/internal/link"
)

// A recluse is a core whose dials all fail at once, with an answer or none.
type recluse struct {
	effects
	*core
	now   time.Time
	code  func(netip.AddrPort) link.Code
	dials []dialled
	queue []func()
}

type dialled struct {
	at   time.Time
	addr netip.AddrPort
	id   link.ID // empty: a seed
}

func newRecluse() *recluse {
	r := &recluse{now: now, code: func(netip.AddrPort) link.Code { return 0 }}
	r.core = newCore("5", link.Incarnation{5}, r)
	r.core.interval, r.core.timeout, r.core.dials = 3*time.Second, 10*time.Second, 16
	r.core.rnd = rand.New(rand.NewPCG(1, 2))
	return r
}

func (r *recluse) reconfirm(link.ID)        {}
func (r *recluse) reject(Rejection)         {}
func (r *recluse) random() uint64           { return rand.Uint64() }
func (r *recluse) send(link.LinkID, []byte) {}
func (r *recluse) admit(link.LinkID)        {}
func (r *recluse) expect(*session)          {}
func (r *recluse) unexpect(*session)        {}
func (r *recluse) openConn(*session)        {}
func (r *recluse) end(link.LinkID)          {}
func (r *recluse) hello(link.LinkID)        {}
func (r *recluse) down(*session, error)     {}
func (r *recluse) lost(*session, error)     {}

func (r *recluse) dial(p *peer, s *seed) {
	d := dialled{at: r.now}
	if p != nil {
		d.addr, d.id = p.trying[0], p.id
	} else {
		d.addr = s.addr
	}
	r.dials = append(r.dials, d)
	r.queue = append(r.queue, func() {
		code := r.code(d.addr)
		if code == link.CodeWrongNode && p != nil { // Mesh.refused
			r.wrongNode(r.now, d.addr, p)
		}
		err := errors.New("nobody there")
		if code != 0 {
			err = &answer{code: code, err: err}
		}
		r.dialFailed(r.now, p, s, code, err)
	})
}

// run lets d go by and returns what was dialled meanwhile.
func (r *recluse) run(d time.Duration) []dialled {
	r.dials = nil
	for end := r.now.Add(d); ; {
		r.core.run(r.now)
		if len(r.queue) > 0 {
			f := r.queue[0]
			r.queue = r.queue[1:]
			f()
			continue
		}
		due := r.due()
		if due.IsZero() || due.After(end) {
			r.now = end
			return r.dials
		}
		r.now = later(r.now, due)
	}
}

// meet gives it a link to a node at addr that listens there.
func (r *recluse) meet(id link.ID, n link.LinkID, dialled bool, addr, listens string) {
	r.core.hello(r.now, &session{id: n, dialled: dialled, remote: netip.MustParseAddrPort(addr), hello: &link.Hello{
		MinVersion: 1, MaxVersion: 1, ID: id, Incarnation: link.Incarnation{byte(n)},
		Addrs: []netip.AddrPort{netip.MustParseAddrPort(listens)},
	}}, nil)
	if !r.peers[id].arb.Decides {
		r.commit(r.now, n, link.Commit{Seq: uint64(n)})
	}
}

func TestASeedIsTriedForEver(t *testing.T) {
	r := newRecluse()
	r.addSeed(r.now, "10.0.0.1:80")
	r.run(24 * time.Hour)
	if n := len(r.run(time.Minute)); n < 2 || n > 4 {
		t.Errorf("%d attempts in a minute after a day", n)
	}
}

func TestASeedThatIsDroppedIsNotTriedAgain(t *testing.T) {
	r := newRecluse()
	r.addSeed(r.now, "10.0.0.1:80")
	r.addSeed(r.now, "10.0.0.2:80")
	r.run(time.Minute)
	r.dropSeed("10.0.0.1:80")
	r.dropSeed("10.0.0.9:80") // never heard of
	for _, d := range r.run(10 * time.Minute) {
		if d.addr.String() != "10.0.0.2:80" {
			t.Fatalf("%v is dialled", d.addr)
		}
	}
	r.addSeed(r.now, "10.0.0.1:80")
	if d := r.run(time.Second); len(d) == 0 {
		t.Error("told of again, it is not dialled")
	}
}

func TestASeedThatIsDroppedUnderWayIsDoneWith(t *testing.T) {
	r := newRecluse()
	r.addSeed(r.now, "10.0.0.1:80")
	r.core.run(r.now)
	r.dropSeed("10.0.0.1:80")
	if n := len(r.run(time.Minute)); n != 0 {
		t.Errorf("%d attempts", n)
	}
	if r.dialing != 0 || r.retrying != 0 {
		t.Errorf("%d attempts are under way, %d of them again", r.dialing, r.retrying)
	}
}

// A link that leads to where the seed does makes an attempt needless, whoever has
// dialled it, for as long as it lasts.
func TestASeedWhereAPeerIsNeedsNoAttempt(t *testing.T) {
	for _, outgoing := range []bool{true, false} {
		r := newRecluse()
		remote := "10.0.0.1:80"
		if !outgoing {
			remote = "10.0.0.1:54321"
		}
		r.meet("7", 1, outgoing, remote, "10.0.0.1:80")
		r.addSeed(r.now, "10.0.0.1:80")
		if d := r.run(3 * time.Second); len(d) != 0 {
			t.Errorf("dialled %v: %v", outgoing, d)
		}
		r.closed(r.now, 1, ErrReset)
		if d := r.run(time.Second); !slices.ContainsFunc(d, func(d dialled) bool { return d.id == "" }) {
			t.Errorf("dialled %v: the seed is not dialled when the peer is gone", outgoing)
		}
	}
}

// Another node of that machine, or at another machine's address of the same text,
// is no reason to leave a seed alone.
func TestASeedBesideAPeerIsDialled(t *testing.T) {
	r := newRecluse()
	r.meet("7", 1, false, "10.0.0.1:54321", "10.0.0.1:81")
	r.meet("8", 2, false, "10.0.0.2:54321", "10.0.0.3:80")
	r.addSeed(r.now, "10.0.0.1:80")
	r.addSeed(r.now, "10.0.0.3:80")
	if d := r.run(time.Millisecond); len(d) != 2 {
		t.Errorf("dialled: %v", d)
	}
}
