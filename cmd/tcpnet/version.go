package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v3"
)

func newVersion() *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "print the version",
		Description: `Prints the version of the module, the commit it was built from if that is
known, the version of Go, and the system.

Example:
   tcpnet version`,
		OnUsageError: wrongUsage,
		Action: func(_ context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			fmt.Fprintln(cmd.Root().Writer, versionLine())
			return nil
		},
	}
}

// version returns the module's version, or "devel".
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}

// versionLine returns all that is known of this build in one line.
func versionLine() string {
	line := "tcpnet " + version()
	settings := make(map[string]string)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			settings[s.Key] = s.Value
		}
	}
	if commit := settings["vcs.revision"]; commit != "" {
		line += " commit " + commit[:min(len(commit), 12)]
		if settings["vcs.modified"] == "true" {
			line += " modified"
		}
	}
	return fmt.Sprintf("%s %s %s/%s", line, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
