package gossip

import "github.com/hashicorp/memberlist"

// delegate is the Discoverer as the delegate of a memberlist.
type delegate Discoverer

// NodeMeta implements [memberlist.Delegate]. The program's own metadata comes first
// and is limited to the room that is left.
func (d *delegate) NodeMeta(limit int) []byte {
	var entries []entry
	for _, s := range (*Discoverer)(d).all() {
		entries = append(entries, s.own)
	}
	ours := join(nil, entries)
	inner := (*Discoverer)(d).innerMeta(limit - len(ours))
	if len(inner)+len(ours) > limit { // it has not kept to that
		return inner
	}
	return append(inner[:len(inner):len(inner)], ours...)
}

func (d *delegate) NotifyMsg(b []byte) {
	if d.delegate != nil {
		d.delegate.NotifyMsg(b)
	}
}

func (d *delegate) GetBroadcasts(overhead, limit int) [][]byte {
	if d.delegate == nil {
		return nil
	}
	return d.delegate.GetBroadcasts(overhead, limit)
}

func (d *delegate) LocalState(join bool) []byte {
	if d.delegate == nil {
		return nil
	}
	return d.delegate.LocalState(join)
}

func (d *delegate) MergeRemoteState(b []byte, join bool) {
	if d.delegate != nil {
		d.delegate.MergeRemoteState(b, join)
	}
}

// events is the Discoverer as the event delegate of a memberlist.
type events Discoverer

func (e *events) NotifyJoin(n *memberlist.Node) {
	(*Discoverer)(e).look(n)
	if e.events != nil {
		e.events.NotifyJoin(bare(n))
	}
}

func (e *events) NotifyUpdate(n *memberlist.Node) {
	(*Discoverer)(e).look(n)
	if e.events != nil {
		e.events.NotifyUpdate(bare(n))
	}
}

// NotifyLeave tells nodes nothing: who is alive is for connections to tell.
func (e *events) NotifyLeave(n *memberlist.Node) {
	(*Discoverer)(e).left(n)
	if e.events != nil {
		e.events.NotifyLeave(bare(n))
	}
}

// bare returns a member with its program's own metadata only.
func bare(n *memberlist.Node) *memberlist.Node {
	b := *n
	b.Meta = Meta(n)
	return &b
}
