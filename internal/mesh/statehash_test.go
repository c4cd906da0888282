package mesh

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"slices"

	"example.com/tcpnet/internal/link"
)

// hasher reduces a world to a number that is the same for two worlds which behave
// the same: it leaves out times, and counts links, sequences and connections only
// as they compare.
type hasher struct {
	seed maphash.Seed
	b    []byte
	seqs []uint64
	at   []int
	all  [][]byte
}

func bit(v ...bool) (b byte) {
	for i, x := range v {
		if x {
			b |= 1 << i
		}
	}
	return b
}

func (h *hasher) sum(w *world) uint64 {
	h.order(w)
	h.b, h.at = h.b[:0], h.at[:0]
	for _, s := range w.socks {
		if !s.conn || w.get(s.link) == nil {
			h.at = append(h.at, len(h.b))
			h.sock(w, s)
		}
	}
	h.at = append(h.at, len(h.b))
	h.all = h.all[:0]
	for i := range len(h.at) - 1 {
		h.all = append(h.all, h.b[h.at[i]:h.at[i+1]])
	}
	slices.SortFunc(h.all, bytes.Compare)
	var mh maphash.Hash
	mh.SetSeed(h.seed)
	for _, b := range h.all {
		mh.Write(b)
		mh.WriteByte(0xFE)
	}
	h.b = h.b[:0]
	for _, n := range w.nodes {
		h.node(w, n)
	}
	b := &w.budget
	h.b = append(h.b, byte(b.cuts), byte(b.slow), byte(b.kills), byte(b.powers), byte(b.closes), byte(b.shutdowns), byte(b.aborts), byte(b.nets), byte(b.hedges),
		bit(w.disturbs && w.sc.undisturbed))
	mh.Write(h.b)
	return mh.Sum64()
}

// order collects the sequences that may yet be compared.
func (h *hasher) order(w *world) {
	h.seqs = h.seqs[:0]
	for _, n := range w.nodes {
		for _, p := range n.core.peers {
			in := inside(&p.arb)
			h.seqs = append(h.seqs, in.cur.seq)
			for _, c := range in.waiting {
				h.seqs = append(h.seqs, c.seq)
			}
		}
	}
	for _, s := range w.socks {
		for _, q := range s.q {
			for _, m := range q {
				if m.t == link.FrameCommit {
					h.seqs = append(h.seqs, m.n)
				}
			}
		}
	}
	slices.Sort(h.seqs)
	h.seqs = slices.Compact(h.seqs)
}

func (h *hasher) rank(seq uint64) byte {
	i, _ := slices.BinarySearch(h.seqs, seq)
	return byte(i)
}

func (h *hasher) sock(w *world, s *sock) {
	h.b = append(h.b, 'S', bit(s.conn, s.lost, s.reset), byte(s.seed))
	h.b = append(append(h.b, s.target...), 0)
	first := s.number
	if !s.conn {
		first = h.first(w, s)
	}
	for end, e := range s.ends {
		h.b = append(h.b, 'E', byte(e.host), byte(e.gen), byte(e.stage))
		n := w.nodes[e.host]
		var sess *session
		if e.stage == talking && !s.conn {
			sess = n.core.sessions[s.id]
			h.session(w, n, sess, first)
		}
		if s.conn && e.stage != gone {
			has := func(p program) bool { return p.conn == s.id }
			h.b = append(h.b, bit(slices.ContainsFunc(n.open, has), slices.ContainsFunc(n.ended, has)))
		}
		for _, m := range s.q[end] {
			h.b = append(h.b, byte(m.t), byte(m.host), byte(m.gen), byte(m.code), byte(len(m.peers)))
			h.b = append(append(h.b, m.target...), 0)
			switch m.t {
			case link.FrameCommit:
				h.b = append(h.b, h.rank(m.n))
			case link.FrameClose:
				h.b = append(h.b, byte(m.n-first))
			case link.FramePing, link.FramePong:
				// A PING on its way to this end was sent by the other one.
				asker := s.ends[end]
				if m.t == link.FramePing {
					asker = s.ends[1-end]
				}
				a := w.nodes[asker.host].core.sessions[s.id]
				h.b = append(h.b, bit(asker.stage == talking && a != nil && !a.probe.IsZero() && a.probing == m.n))
			}
			if w.sc.views {
				h.b = binary.BigEndian.AppendUint64(append(h.b, byte(m.digest.Count)), m.digest.Hash)
			}
		}
	}
	if s.conn {
		return
	}
	start := len(h.at)
	for _, c := range w.socks {
		if c.conn && c.link == s.id {
			h.b = append(h.b, 'C', byte(c.number-first))
			h.sock(w, c)
		}
	}
	h.at = h.at[:start]
}

// first returns the least number of a connection that is of any account on a link.
func (h *hasher) first(w *world, s *sock) uint64 {
	least := ^uint64(0)
	for end, e := range s.ends {
		if e.stage == greeting || e.stage == syn {
			least = 1
		}
		if sess := w.nodes[e.host].core.sessions[s.id]; e.stage == talking && sess != nil {
			least = min(least, max(sess.number, 1))
		}
		for _, m := range s.q[end] {
			if m.t == link.FrameClose {
				least = min(least, m.n)
			}
		}
	}
	for _, c := range w.socks {
		if c.conn && c.link == s.id {
			least = min(least, c.number)
		}
	}
	return least
}

func (h *hasher) session(w *world, n *node, s *session, first uint64) {
	in := inside(&s.peer.arb)
	role := byte(0)
	is := func(c contender) bool { return c.id == s.id }
	if in.cur.id == s.id {
		role = 1
	} else if i := slices.IndexFunc(in.waiting, is); i >= 0 {
		role = byte(2 + i)
		h.b = append(h.b, h.rank(in.waiting[i].seq))
	} else if slices.ContainsFunc(in.pending, is) {
		role = 255
	}
	number := byte(0)
	if s.adopted {
		number = byte(s.number - first)
	}
	h.b = append(h.b, 's', role, bit(s.dialled, s.adopted, s.probe.IsZero(), s.redial.IsZero(), s.departing, s.attempt == nil, s.seed != nil),
		byte(s.state), number, byte(min(s.fails, 3)), s.hello.Incarnation[0], s.hello.Incarnation[1])
	h.b = append(append(h.b, s.peer.id...), 0)
	if in.cur.id == s.id {
		h.b = append(h.b, h.rank(in.cur.seq))
	}
	for _, c := range n.expects {
		if c.link == s.id {
			h.b = append(h.b, 'x', byte(c.number-first))
		}
	}
}

func (h *hasher) node(w *world, n *node) {
	c := n.core
	h.b = append(h.b, 'N', byte(n.phase), byte(n.gen), n.unknown, bit(w.sc.duplicates && n.told, c.leaving))
	for _, p := range c.everyone() {
		h.b = append(h.b, 'p', bit(p.arb.Decides, p.arb.Probing(), p.sess == nil, p.met, p.left,
			p.dial.due.IsZero(), p.dial.dialing, p.dial.last.IsZero()))
		h.b = append(append(h.b, p.id...), 0)
		for _, a := range p.addrs {
			h.b = append(h.b, a.Addr().As4()[3], byte(a.Port()))
		}
		for _, a := range p.leftAt {
			h.b = append(h.b, 'g', a.Addr().As4()[3], byte(a.Port()))
		}
		for _, l := range p.losses {
			h.b = append(h.b, 'l', l.inc[0], l.inc[1])
			for _, a := range l.at {
				h.b = append(h.b, a.Addr().As4()[3], byte(a.Port()))
			}
		}
		if w.sc.views {
			h.b = binary.BigEndian.AppendUint64(append(h.b, 'd', byte(p.digest.Count)), p.digest.Hash)
		}
	}
	for _, s := range c.seeds {
		h.b = append(h.b, 'e', bit(s.dial.due.IsZero(), s.dial.dialing))
		h.b = append(append(h.b, s.id...), 0)
	}
	if w.sc.views {
		h.b = binary.BigEndian.AppendUint64(append(h.b, 'o', byte(len(c.own))), c.digest.Hash)
	}
}
