package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"
)

// wrongUsage words what the parser of flags has found.
func wrongUsage(_ context.Context, cmd *cli.Command, err error, _ bool) error {
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "flag provided but not defined: -"); ok {
		text = noSuchOption(cmd, name)
	}
	// What Go's packages say of numbers and durations is for programmers.
	if i := strings.Index(text, ": strconv."); i >= 0 {
		text = text[:i] + ": want a number"
	} else if i := strings.Index(text, ": time: "); i >= 0 {
		text = text[:i] + ": want a duration such as 500ms, 10s or 1m30s"
	}
	return usageError(cmd, "%s", text)
}

// newHelp returns the verb that the library has as well, but without wrongUsage.
func newHelp() *cli.Command {
	return &cli.Command{
		Name:         "help",
		Aliases:      []string{"h"},
		Usage:        "show help, also for one command",
		ArgsUsage:    "[command]",
		OnUsageError: wrongUsage,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if name := cmd.Args().First(); name != "" {
				return cli.ShowCommandHelp(ctx, cmd.Root(), name)
			}
			return cli.ShowRootCommandHelp(cmd.Root())
		},
	}
}

// oneArgument returns the only argument of a command.
func oneArgument(cmd *cli.Command, what string) (string, error) {
	switch args := cmd.Args(); {
	case args.Len() == 0:
		return "", usageError(cmd, "%s is missing", what)
	case args.Len() > 1:
		return "", usageError(cmd, "%s is one argument, and %q is too many: quote it if it has spaces", what, args.Get(1))
	default:
		return args.First(), nil
	}
}

// noArguments checks that a command was given none.
func noArguments(cmd *cli.Command) error {
	if cmd.Args().Present() {
		return usageError(cmd, "%q is too many: this command takes options only", cmd.Args().First())
	}
	return nil
}

// within returns a check that a number is in a range.
func within(low, high int) func(int) error {
	return func(n int) error {
		if n < low || n > high {
			return fmt.Errorf("want a number from %d to %d", low, high)
		}
		return nil
	}
}

// positive checks that a duration is more than nothing.
func positive[D ~int64](d D) error {
	if d <= 0 {
		return errors.New("want a duration such as 500ms, 10s or 1m30s")
	}
	return nil
}
