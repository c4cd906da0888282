package main

import (
	"context"
	"strings"

	"github.com/urfave/cli/v3"
)

// noSuchCommand is the error for a name that no command under cmd has.
func noSuchCommand(cmd *cli.Command, name string) error {
	names := []string{"help"}
	for _, c := range cmd.VisibleCommands() {
		names = append(names, c.Names()...)
	}
	if near := nearest(name, names); near != "" {
		return usageError(cmd, "there is no command %q; did you mean %q?", name, near)
	}
	return usageError(cmd, "there is no command %q", name)
}

// noSuchOption words that cmd has no option of a name.
func noSuchOption(cmd *cli.Command, name string) string {
	var names []string
	for _, f := range cmd.VisibleFlags() {
		names = append(names, f.Names()...)
	}
	text := "there is no option " + dashed(name)
	if near := nearest(name, names); near != "" {
		text += "; did you mean " + dashed(near) + "?"
	}
	return text
}

// dashed returns the name of an option as it is shown in help.
func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// showCommandHelp shows the help of the command of a name under cmd. A command that
// has none under it was given an argument beside --help, and it is its own that is
// wanted.
func showCommandHelp(ctx context.Context, cmd *cli.Command, name string) error {
	if line := cmd.Lineage(); len(line) > 1 && len(cmd.VisibleCommands()) == 0 {
		return cli.DefaultShowCommandHelp(ctx, line[1], cmd.Name)
	}
	if cmd.Command(name) == nil {
		return noSuchCommand(cmd, name)
	}
	return cli.DefaultShowCommandHelp(ctx, cmd, name)
}

// nearest returns which of names was meant by one that is none of them: the one that
// takes fewest slips, and not more than one in three letters, or one that it begins.
// Names of one letter are near to everything, and are left out.
func nearest(given string, names []string) (near string) {
	given = strings.ToLower(given)
	fewest := (len(given)+2)/3 + 1
	for _, name := range names {
		if len(given) < 2 || len(name) < 2 {
			continue
		}
		n := slips(given, name)
		if len(given) > 2 && strings.HasPrefix(name, given) {
			n = 1
		}
		if n < fewest {
			fewest, near = n, name
		}
	}
	return near
}

// slips counts the letters that have to be added, left out, replaced or swapped with
// the next to make b of a (optimal string alignment).
func slips(a, b string) int {
	// The rows of the table for the beginnings of a: the present one and two before.
	var before, last, row []int
	for j := range len(b) + 1 {
		row = append(row, j)
	}
	for i := range len(a) {
		before, last, row = last, row, []int{i + 1}
		for j := range len(b) {
			same := 1
			if a[i] == b[j] {
				same = 0
			}
			n := min(last[j]+same, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				n = min(n, before[j-1]+1)
			}
			row = append(row, n)
		}
	}
	return row[len(b)]
}
