package mesh

import (
	"errors"
	"testing"

	"example.com/tcpnet/internal/link"
)

func yes() bool { return true }

func TestAnAskIsForOneSocket(t *testing.T) {
	var set asks
	a := set.add(1, "s", yes)
	for name, take := range map[string]func() *ask{
		"another link":    func() *ask { return set.take(2, a.nonce, "s") },
		"another service": func() *ask { return set.take(1, a.nonce, "t") },
		"another nonce":   func() *ask { return set.take(1, link.Nonce{}, "s") },
	} {
		if take() != nil {
			t.Errorf("taken by %s", name)
		}
	}
	if set.take(1, a.nonce, "s") != a {
		t.Fatal("not taken by what it is for")
	}
	if set.take(1, a.nonce, "s") != nil {
		t.Error("taken twice")
	}
	set.refuse(1, a.nonce, ErrNoService) // too late
	first, second := &knock{}, &knock{}
	a.finish(asked{conn: first})
	a.finish(asked{conn: second})
	if o := <-a.got; o.conn != first || o.err != nil || first.closed || !second.closed {
		t.Errorf("outcome %+v, closed: %v, %v", o, first.closed, second.closed)
	}
	a.drop()
	if first.closed {
		t.Error("an outcome that was received is taken back")
	}
}

func TestAnAskThatIsRefused(t *testing.T) {
	var set asks
	a := set.add(1, "s", yes)
	set.refuse(2, a.nonce, ErrReset) // by another peer
	set.refuse(1, a.nonce, ErrNoService)
	set.refuse(1, a.nonce, ErrReset)
	if o := <-a.got; !errors.Is(o.err, ErrNoService) {
		t.Errorf("outcome %+v", o)
	}
	if set.take(1, a.nonce, "s") != nil {
		t.Error("taken after it was refused")
	}
}

func TestAnAskThatNobodyWaitsFor(t *testing.T) {
	var set asks
	dropped := set.add(1, "s", yes)
	dropped.drop()
	if set.take(1, dropped.nonce, "s") != nil || len(set.open) != 0 {
		t.Error("taken after it was dropped")
	}
	taken := set.add(1, "s", yes)
	set.take(1, taken.nonce, "s")
	taken.drop()
	late := &knock{}
	taken.finish(asked{conn: late})
	if !late.closed {
		t.Error("a socket that nobody gets is open")
	}
	unread := set.add(1, "s", yes)
	set.take(1, unread.nonce, "s")
	k := &knock{}
	unread.finish(asked{conn: k})
	unread.drop()
	if !k.closed {
		t.Error("a socket that nobody has received is open")
	}
	opened := set.add(1, "s", func() bool { return false })
	if set.take(1, opened.nonce, "s") != nil {
		t.Error("taken although it was opened another way")
	}
}
