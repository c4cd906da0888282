package main

import (
	"context"
	"fmt"
	"os"

	"example.com/tcpnet"
	"github.com/urfave/cli/v3"
)

func newKeygen() *cli.Command {
	return &cli.Command{
		Name:  "keygen",
		Usage: "make a secret that keeps strangers out of a cluster",
		Description: `Prints a new secret: 256 random bits as one line of text, with a checksum, so that a
typo is told as one. Give it to every node of the cluster, by a way that strangers do
not see. With it only nodes that have it can join, and all they say is encrypted.

Examples:
   tcpnet keygen -o garden.key                        into a file that only you can read
   tcpnet join garden --secret-file garden.key
   TCPNET_SECRET=$(tcpnet keygen)                     for scripts

To change the secret of a running cluster: start each node again with the new one and
the old one (--secret-file new.key --secret-file old.key), and when all have both, with
the new one alone.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write it to a new `FILE` that only you can read"},
		},
		OnUsageError: wrongUsage,
		Action: func(_ context.Context, cmd *cli.Command) error {
			if err := noArguments(cmd); err != nil {
				return err
			}
			if path := cmd.String("output"); path != "" {
				return writeSecret(path)
			}
			if info, err := os.Stdout.Stat(); err == nil && info.Mode().IsRegular() && othersCanRead(info) {
				fmt.Fprintln(os.Stderr, "tcpnet: others can read this file, and join will refuse it: use keygen -o FILE, or chmod 600")
			}
			_, err := fmt.Fprintln(os.Stdout, tcpnet.NewSecret())
			return err
		},
	}
}

// writeSecret makes a file with a new secret. It replaces none.
func writeSecret(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if os.IsExist(err) {
		return fmt.Errorf("%s is there already, and a secret that is lost cannot be brought back: choose another name", path)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, tcpnet.NewSecret())
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(path)
	}
	return err
}
