package mesh

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"example.com/tcpnet/discovery"
	"example.com/tcpnet/internal/link"
)

// yesterday returns n nodes that were met a day ago.
func yesterday(n int) (all []Met) {
	for i := range n {
		all = append(all, Met{
			ID:    link.ID(fmt.Sprintf("%X", 0x1000+i)),
			Addrs: []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 80)},
			Seen:  now.Add(-24 * time.Hour),
		})
	}
	return all
}

func (r *recluse) rememberAll(all []Met) {
	for i, m := range all {
		r.remember(r.now, m, time.Duration(i)*rememberedGap)
	}
}

// Alone, a node tries those it remembers for ever, and not much at a time.
func TestThoseRememberedAreTriedForEver(t *testing.T) {
	const n = 100
	r := newRecluse()
	r.rememberAll(yesterday(n))
	first := r.run(n * rememberedGap)
	seen := map[netip.AddrPort]bool{}
	for _, d := range first {
		seen[d.addr] = true
	}
	if len(seen) != n {
		t.Errorf("%d of %d were tried at first", len(seen), n)
	}
	if d := r.run(time.Minute); len(d) > 8*n {
		t.Errorf("%d attempts in the first minute", len(d))
	}
	r.run(24 * time.Hour)
	if d := r.run(time.Minute); len(d) < 2*n || len(d) > 4*n {
		t.Errorf("%d attempts in a minute after a day, for %d nodes", len(d), n)
	}
}

// In company, those that do not answer are tried rarely: the others would know.
func TestInCompanyThoseRememberedAreTriedRarely(t *testing.T) {
	r := newRecluse()
	r.rememberAll(yesterday(100))
	r.meet("7", 1, true, "10.9.0.1:80", "10.9.0.1:80")
	r.interval, r.timeout = time.Hour*100, time.Hour*300 // of silence
	r.peers["7"].sess.live = link.Liveness{Interval: r.interval, Timeout: r.timeout}
	r.peers["7"].sess.live.Heard(r.now)
	r.run(10 * time.Minute)
	if d := r.run(time.Hour); len(d) < 100 || len(d) > 1300 {
		t.Errorf("%d attempts in an hour at 100 nodes", len(d))
	}
}

// After all have been started anew, other IDs are at the addresses remembered.
func TestAnotherNodeAtARememberedAddressIsMet(t *testing.T) {
	r := newRecluse()
	r.code = func(netip.AddrPort) link.Code { return link.CodeWrongNode }
	r.rememberAll(yesterday(1))
	d := r.run(time.Hour)
	if len(d) != 2 || d[0].id == "" || d[1].id != "" || d[0].addr != d[1].addr {
		t.Errorf("dialled: %v, want the node remembered and then whoever is there, once each", d)
	}
	if len(r.peers) != 0 || len(r.seeds) != 0 {
		t.Errorf("%d peers and %d seeds are kept", len(r.peers), len(r.seeds))
	}
}

func TestRememberingChangesNothingAboutThoseKnown(t *testing.T) {
	r := newRecluse()
	r.meet("1000", 1, true, "10.9.0.1:80", "10.9.0.1:80")
	all := yesterday(1)
	r.rememberAll(append(all, Met{ID: r.id, Addrs: all[0].Addrs, Seen: now}))
	if p := r.peers["1000"]; p.remembered || len(p.addrs) != 1 || len(r.peers) != 1 {
		t.Errorf("%+v", r.peers)
	}
}

func TestWhatDiscoveryTellsOfIsNotOnlyRemembered(t *testing.T) {
	r := newRecluse()
	all := yesterday(1)
	r.rememberAll(all)
	r.run(time.Hour)
	r.found(r.now, discovery.Candidate{ID: string(all[0].ID), Addrs: all[0].Addrs, Source: "mdns"})
	if p := r.peers[all[0].ID]; p.remembered || p.source != "state file" {
		t.Errorf("%+v", p)
	}
}

func TestMetAreThoseWithALink(t *testing.T) {
	r := newRecluse()
	r.rememberAll(yesterday(1))
	r.meet("7", 1, false, "10.9.0.1:54321", "10.9.0.1:80")
	all := r.met(r.now)
	if len(all) != 1 || all[0].ID != "7" || all[0].Seen != r.now || fmt.Sprint(all[0].Addrs) != "[10.9.0.1:80]" {
		t.Errorf("%+v", all)
	}
}
