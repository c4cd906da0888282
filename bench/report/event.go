// Package report is how the measured programs tell the harness what happened
// and when: one line for each event on standard output, with a clock that all
// processes of a machine share. Commands come back on standard input.
package report

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Kind says what happened. It is the first byte of an event's line.
type Kind byte

const (
	Started   Kind = 'M' // the first line of main ran
	Ready     Kind = 'R' // the node listens (and, if it does such a thing, has announced itself)
	Connected Kind = 'C' // the program holds a connection to Peer
	Gone      Kind = 'G' // reading from the connection to Peer ended; Text says why
	Left      Kind = 'L' // the library reported that Peer left; Text is the reason it gave
	Stat      Kind = 'S' // answer to the command "stat"; Text holds key=value pairs
	Wrong     Kind = 'W' // the program saw what must never be; Text says what
	Result    Kind = 'T' // one measurement made by the program itself; Text holds key=value pairs
)

// Event is one thing that happened in a measured program.
type Event struct {
	Kind Kind
	At   int64  // Now, when it happened
	Peer string // whom it concerns: a node's id; empty if nobody
	Text string // anything more, on one line
}

// Append appends the event's line, with its line end, to b.
func (e Event) Append(b []byte) []byte {
	b = append(b, byte(e.Kind), ' ')
	b = strconv.AppendInt(b, e.At, 10)
	b = append(b, ' ')
	if e.Peer == "" {
		b = append(b, '-')
	} else {
		b = append(b, e.Peer...)
	}
	if e.Text != "" {
		b = append(b, ' ')
		b = append(b, strings.ReplaceAll(e.Text, "\n", " ")...)
	}
	return append(b, '\n')
}

var errForm = errors.New("not of the form KIND TIME PEER [TEXT]")

// Parse reads what Append wrote, without the line end.
func Parse(line string) (Event, error) {
	kind, rest, ok1 := strings.Cut(line, " ")
	at, rest, ok2 := strings.Cut(rest, " ")
	if !ok1 || !ok2 || len(kind) != 1 {
		return Event{}, fmt.Errorf("event %q: %w", line, errForm)
	}
	e := Event{Kind: Kind(kind[0])}
	switch e.Kind {
	case Started, Ready, Connected, Gone, Left, Stat, Wrong, Result:
	default:
		return Event{}, fmt.Errorf("event %q: unknown kind", line)
	}
	var err error
	if e.At, err = strconv.ParseInt(at, 10, 64); err != nil {
		return Event{}, fmt.Errorf("event %q: %w", line, err)
	}
	e.Peer, e.Text, _ = strings.Cut(rest, " ")
	switch e.Peer {
	case "":
		return Event{}, fmt.Errorf("event %q: %w", line, errForm)
	case "-":
		e.Peer = ""
	}
	return e, nil
}

// Value returns the number that Text holds as key=number.
func (e Event) Value(key string) (float64, error) {
	for field := range strings.FieldsSeq(e.Text) {
		if k, v, ok := strings.Cut(field, "="); ok && k == key {
			return strconv.ParseFloat(v, 64)
		}
	}
	return 0, fmt.Errorf("no %s in %q", key, e.Text)
}
