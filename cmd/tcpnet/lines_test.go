package main

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestLineReader(t *testing.T) {
	const max = 8
	tests := []struct {
		in     string
		want   []string // lines
		broken int
	}{
		{"", nil, 0},
		{"a\n", []string{"a\n"}, 0},
		{"a\nbc\n\n", []string{"a\n", "bc\n", "\n"}, 0},
		{"unfinished", []string{"unfinish\n", "ed"}, 1},
		{"end", []string{"end"}, 0},
		{"12345678\n", []string{"12345678\n"}, 0},
		{"123456789\n", []string{"12345678\n", "9\n"}, 1},
		{"1234567812345678x", []string{"12345678\n", "12345678\n", "x"}, 2},
		{"\x00\xff\r\n\x1b", []string{"\x00\xff\r\n", "\x1b"}, 0},
	}
	for _, tt := range tests {
		for name, r := range map[string]io.Reader{
			"at once":       strings.NewReader(tt.in),
			"byte by byte":  iotest.OneByteReader(strings.NewReader(tt.in)),
			"EOF with data": iotest.DataErrReader(strings.NewReader(tt.in)),
		} {
			var got []string
			broken := 0
			l := newLineReader(r, max)
			for {
				block, cut, err := l.next()
				if err != nil {
					if err != io.EOF {
						t.Errorf("%q %s: %v", tt.in, name, err)
					}
					break
				}
				if cut {
					broken++
				}
				for line := range bytes.Lines(block) {
					got = append(got, string(line))
				}
			}
			if !slices.Equal(got, tt.want) || broken != tt.broken {
				t.Errorf("%q %s: %q, %d broken; want %q, %d", tt.in, name, got, broken, tt.want, tt.broken)
			}
		}
	}
}

// A stream without long lines comes out as it went in, in blocks of whole lines.
func TestLineReaderKeepsEveryByte(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	in := make([]byte, 300_000)
	for i := range in {
		in[i] = byte(rnd.IntN(256))
	}
	l := newLineReader(iotest.HalfReader(bytes.NewReader(in)), maxLine)
	var got []byte
	for {
		block, broken, err := l.next()
		if err == io.EOF {
			break
		}
		if err != nil || broken {
			t.Fatal(broken, err)
		}
		got = append(got, block...)
		if block[len(block)-1] != '\n' && len(got) != len(in) {
			t.Fatal("a block in the middle ends within a line")
		}
	}
	if !bytes.Equal(got, in) {
		t.Errorf("%d bytes became %d others", len(in), len(got))
	}
}

func TestLineReaderReturnsWhatCameBeforeAnError(t *testing.T) {
	failed := errors.New("failed")
	l := newLineReader(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(failed)), 8)
	for _, want := range []string{"a\n", "b"} {
		if block, _, err := l.next(); string(block) != want || err != nil {
			t.Errorf("got %q, %v; want %q", block, err, want)
		}
	}
	if _, _, err := l.next(); err != failed {
		t.Errorf("error %v", err)
	}
}

func TestOutputNeverMixesLines(t *testing.T) {
	var b bytes.Buffer
	o := output{w: &b}
	for _, block := range []string{"one\n", "unfinished", "two\nthree"} {
		o.write("x", []byte(block))
	}
	if got, want := b.String(), "one\nunfinished\ntwo\nthree"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	b.Reset()
	o = output{w: &b, prefix: true, escape: true}
	o.write("ada/A1", []byte("a\tb\n\x1b[2J"))
	o.write("bob/B1", []byte("\xff é\u202e\n"))
	want := "ada/A1: a\tb\nada/A1: \\x1b[2J\nbob/B1: \\xff é\\u202e\n"
	if got := b.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                "plain",
		"\x1b]0;title\a":       "]0;title",
		"two\nlines":           "twolines",
		"\u202ereversed\u009b": "reversed",
		"\n \t":                "-",
		"bad \xff":             "bad \uFFFD",
	} {
		if got := printableName(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
