package main

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// hostile reports whether a terminal may act upon r rather than show it: control
// characters, and those that turn the direction of the text around it.
func hostile(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

// printable returns s, which may have come from a peer, fit for a terminal: what
// a terminal would act upon is taken out, except for ends of lines.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && hostile(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// printableName returns a name or label on one line. It is never empty.
func printableName(s string) string {
	s = strings.TrimSpace(strings.ReplaceAll(printable(s), "\n", ""))
	if s == "" {
		return "-"
	}
	return s
}

// appendEscaped appends a line to dst so that a terminal shows every byte and acts
// upon none: control characters other than tab, and bytes that are no UTF-8,
// become \x1b or \u202e.
func appendEscaped(dst, line []byte) []byte {
	for len(line) > 0 {
		r, size := utf8.DecodeRune(line)
		switch {
		case r == utf8.RuneError && size == 1, r < utf8.RuneSelf && r != '\t' && hostile(r):
			dst = fmt.Appendf(dst, `\x%02x`, line[0])
		case r != '\t' && hostile(r):
			dst = fmt.Appendf(dst, `\u%04x`, r)
		default:
			dst = append(dst, line[:size]...)
		}
		line = line[size:]
	}
	return dst
}
