package main

import (
	"bytes"
	"testing"
	"time"
)

func TestOutboxIsBounded(t *testing.T) {
	var o outbox
	block := bytes.Repeat([]byte("line\n"), 1<<16/5)
	for o.fits(len(block)) {
		o.put(block)
	}
	if o.size > maxOutbox || o.size < maxOutbox-len(block) {
		t.Errorf("%d bytes wait, want almost %d", o.size, maxOutbox)
	}
	blocks := len(o.blocks)
	if got := o.take(); !bytes.Equal(got, block) {
		t.Errorf("took %d bytes", len(got))
	}
	if !o.fits(len(block)) {
		t.Error("there is no room for what was taken")
	}
	if got, want := o.discard(), (blocks-1)*countLines(block); got != want {
		t.Errorf("%d lines were discarded, want %d", got, want)
	}
	if o.size != 0 || o.take() != nil || !o.fits(2*maxOutbox) {
		t.Error("it is not empty")
	}
}

func TestOutboxIsFirstInFirstOut(t *testing.T) {
	var o outbox
	for _, b := range []string{"a", "b", "c"} {
		o.put([]byte(b))
	}
	for _, want := range []string{"a", "b", "c", ""} {
		if got := o.take(); string(got) != want {
			t.Errorf("took %q, want %q", got, want)
		}
	}
}

func TestPatience(t *testing.T) {
	now := time.Now()
	p := newPatience(now)
	if got := p.remaining(now.Add(time.Hour)); got != maxPatience {
		t.Errorf("it grew to %v", got)
	}
	now = now.Add(time.Hour)
	// A second of waiting uses it up, but for what it regains meanwhile.
	for range 10 {
		p.spend(now, now.Add(100*time.Millisecond))
		now = now.Add(100 * time.Millisecond)
	}
	if got := p.remaining(now); got <= 0 || got > 100*time.Millisecond {
		t.Errorf("%v are left after a second", got)
	}
	p.spend(now, now.Add(time.Second))
	now = now.Add(time.Second)
	if got := p.remaining(now); got > 0 {
		t.Errorf("%v are left after two seconds", got)
	}
	if got := p.remaining(now.Add(20 * time.Second)); got != maxPatience {
		t.Errorf("%v are left after a pause", got)
	}
	// Who holds up the others for less than a tenth of the time keeps all.
	now = now.Add(20 * time.Second)
	for range 1000 {
		p.spend(now, now.Add(9*time.Millisecond))
		now = now.Add(100 * time.Millisecond)
	}
	if got := p.remaining(now); got < maxPatience-10*time.Millisecond {
		t.Errorf("%v are left", got)
	}
}
