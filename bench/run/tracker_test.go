package main

import (
	"strconv"
	"testing"

	"example.com/tcpnet/bench/report"
)

// play feeds a tracker of n nodes, whose ids are their places, with events.
func play(t *testing.T, n int, events ...func(*tracker) error) (*tracker, []int) {
	t.Helper()
	tr := newTracker()
	var all []int
	for i := range n {
		tr.add(i, strconv.Itoa(i))
		all = append(all, i)
	}
	for _, e := range events {
		if err := e(tr); err != nil {
			t.Fatal(err)
		}
	}
	return tr, all
}

func say(from int, kind report.Kind, at int64, to int) func(*tracker) error {
	return func(tr *tracker) error {
		return tr.apply(from, report.Event{Kind: kind, At: at, Peer: strconv.Itoa(to)})
	}
}

func TestFullNeedsBothWords(t *testing.T) {
	tr, all := play(t, 2, say(0, report.Connected, 5, 1))
	if _, full := tr.fullAt(all); full {
		t.Error("full by the word of one")
	}
	if missing, doubled := tr.missing(all); missing != 1 || doubled != 0 {
		t.Errorf("missing %d, doubled %d; want 1 and 0", missing, doubled)
	}
	tr, all = play(t, 2, say(0, report.Connected, 5, 1), say(1, report.Connected, 9, 0))
	if at, full := tr.fullAt(all); !full || at != 9 {
		t.Errorf("fullAt = %d, %v; want 9", at, full)
	}
}

func TestADoubledPairIsNotFull(t *testing.T) {
	tr, all := play(t, 2,
		say(0, report.Connected, 1, 1), say(1, report.Connected, 2, 0), say(1, report.Connected, 3, 0))
	if _, full := tr.fullAt(all); full {
		t.Error("full with two connections in one pair")
	}
	if missing, doubled := tr.missing(all); missing != 0 || doubled != 1 {
		t.Errorf("missing %d, doubled %d; want 0 and 1", missing, doubled)
	}
	if err := say(1, report.Gone, 8, 0)(tr); err != nil {
		t.Fatal(err)
	}
	if at, full := tr.fullAt(all); !full || at != 8 {
		t.Errorf("after the second ended: %d, %v; want 8", at, full)
	}
}

func TestJoinedLooksAtOneNodeOnly(t *testing.T) {
	tr, all := play(t, 3,
		say(2, report.Connected, 4, 0), say(0, report.Connected, 5, 2),
		say(2, report.Connected, 7, 1), say(1, report.Connected, 6, 2))
	if at, joined := tr.joinedAt(2, all); !joined || at != 7 {
		t.Errorf("joinedAt = %d, %v; want 7, though 0 and 1 are strangers", at, joined)
	}
}

func TestGoneCountsOnlyWhatHappenedSince(t *testing.T) {
	tr, all := play(t, 3,
		say(0, report.Connected, 1, 2), say(1, report.Connected, 1, 2),
		say(0, report.Gone, 3, 2), say(0, report.Connected, 4, 2))
	if _, gone := tr.goneAt(2, all, 5); gone {
		t.Error("gone though both hold a connection")
	}
	for _, e := range []func(*tracker) error{say(0, report.Gone, 6, 2), say(1, report.Gone, 9, 2)} {
		if err := e(tr); err != nil {
			t.Fatal(err)
		}
	}
	if at, gone := tr.goneAt(2, all, 5); !gone || at != 9 {
		t.Errorf("goneAt = %d, %v; want 9", at, gone)
	}
	if _, left := tr.leftAt(2, all, 5); left {
		t.Error("left though the library said nothing")
	}
	if n := tr.alarms[alarm{report.Gone, ""}]; n != 3 {
		t.Errorf("%d alarms, want 3", n)
	}
	if tr.calm(); len(tr.alarms) != 0 {
		t.Error("calm leaves alarms")
	}
}

func TestAStrangerIsAnError(t *testing.T) {
	tr, _ := play(t, 2)
	if err := say(0, report.Connected, 1, 7)(tr); err == nil {
		t.Error("an unknown peer gave no error")
	}
	if err := say(0, report.Connected, 1, 0)(tr); err == nil {
		t.Error("a node connected to itself gave no error")
	}
}

func TestANodeStartedAgainForgets(t *testing.T) {
	tr, all := play(t, 2, say(0, report.Connected, 1, 1), say(1, report.Connected, 1, 0))
	tr.add(1, "again")
	if _, full := tr.fullAt(all); full {
		t.Error("a new process holds the old one's connections")
	}
}
