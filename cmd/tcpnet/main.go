// Command tcpnet connects processes that share a name.
//
//	tcpnet demo          watch processes find one another and talk
//	tcpnet join NAME     netcat for clusters
//	tcpnet keygen        make a secret that keeps strangers out
//	tcpnet version       what this is
//
// Run it with --help, also after each of these, for options and examples.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v3"
)

func main() {
	os.Exit(exitCode(newRoot().Run(context.Background(), os.Args)))
}

// newRoot returns the command with all its verbs.
func newRoot() *cli.Command {
	cli.VersionPrinter = func(cmd *cli.Command) { fmt.Fprintln(cmd.Root().Writer, versionLine()) }
	cli.ShowCommandHelp = showCommandHelp
	return &cli.Command{
		Name:  "tcpnet",
		Usage: "processes that share a name find one another on the local network and talk",
		Description: `Every process that joins a name has one TCP connection to every other that has
joined it. There is no server and nothing to configure.

Examples:
   tcpnet demo                      watch three processes find one another
   tcpnet join garden               talk with all who have joined "garden"
   echo hi | tcpnet join garden --eof

Exit codes:
   0  all went well
   1  it failed; standard error says why
   2  wrong usage
   3  join --timeout: not enough peers in time
   130, 143  told to stop a second time, by Ctrl-C or SIGTERM`,
		Version:               version(),
		EnableShellCompletion: true,
		Commands:              []*cli.Command{newDemo(), newDemoNode(), newJoin(), newKeygen(), newVersion(), newHelp()},
		HideHelpCommand:       true, // for the verbs as well: a cluster may be called "help"
		OnUsageError:          wrongUsage,
		ExitErrHandler:        func(context.Context, *cli.Command, error) {}, // exitCode does that
		Action: func(_ context.Context, cmd *cli.Command) error {
			name := cmd.Args().First()
			if name == "" {
				return usageError(cmd, "say what to do: demo, join, keygen or version")
			}
			return noSuchCommand(cmd, name)
		},
	}
}

// The exit codes, as Description above has them.
const (
	exitFailed  = 1
	exitUsage   = 2
	exitTimeout = 3
	exitSignal  = 128 // and the signal's number
)

// failure is an error that knows its exit code.
type failure struct {
	error
	code int
}

func (f failure) Unwrap() error { return f.error }

// errSilent ends the command with code 1 and says nothing.
var errSilent = errors.New("")

// usageError says what is wrong with the arguments and where to read more.
func usageError(cmd *cli.Command, format string, args ...any) error {
	err := fmt.Errorf("%w\nRun '%s --help' for usage and examples", fmt.Errorf(format, args...), cmd.FullName())
	return failure{err, exitUsage}
}

// exitCode reports an error and returns the process's exit code.
func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if text := printable(err.Error()); text != "" {
		fmt.Fprintln(os.Stderr, "tcpnet: "+text)
	}
	var f failure
	if errors.As(err, &f) {
		return f.code
	}
	return exitFailed
}
