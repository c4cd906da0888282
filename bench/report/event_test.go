package report

import "testing"

func TestEventSurvivesItsLine(t *testing.T) {
	for _, want := range []Event{
		{Kind: Started, At: 1},
		{Kind: Connected, At: 1 << 60, Peer: "00FF"},
		{Kind: Gone, At: 7, Peer: "3", Text: "read: connection reset by peer"},
		{Kind: Stat, At: 7, Text: "goroutines=12 heap=4096"},
	} {
		line := string(want.Append(nil))
		if line[len(line)-1] != '\n' {
			t.Fatalf("%q does not end its line", line)
		}
		got, err := Parse(line[:len(line)-1])
		if err != nil || got != want {
			t.Errorf("Parse(%q) = %+v, %v; want %+v", line, got, err, want)
		}
	}
}

func TestEventStaysOnOneLine(t *testing.T) {
	got := string(Event{Kind: Gone, At: 1, Peer: "3", Text: "a\nb"}.Append(nil))
	if want := "G 1 3 a b\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, line := range []string{"", "C", "C 1", "C x 3", "CC 1 3", "Z 1 3", "C 1 ", "hello world of noise"} {
		if e, err := Parse(line); err == nil {
			t.Errorf("Parse(%q) = %+v, want an error", line, e)
		}
	}
}

func TestValue(t *testing.T) {
	e := Event{Text: "goroutines=12 mbps=99.5"}
	if v, err := e.Value("mbps"); err != nil || v != 99.5 {
		t.Errorf("mbps = %v, %v", v, err)
	}
	if _, err := e.Value("fds"); err == nil {
		t.Error("a missing key gave no error")
	}
}
