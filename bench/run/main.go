// Run measures tcpnet beside the floor, a program that is told all addresses,
// in the same run: one process per node, each in a network namespace of its
// own, on a bridge that has no way out. See the README of the module.
package main

import (
	"fmt"
	"os"
)

// item is one subcommand.
type item struct {
	name string
	what string
	run  func(options) error
	with options // its defaults
}

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	for _, it := range items {
		if it.name != os.Args[1] {
			continue
		}
		o, err := parse(it, os.Args[2:])
		if err == nil {
			fmt.Println(heading())
			err = it.run(o)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "run %s: %v\n", it.name, err)
			os.Exit(1)
		}
		return
	}
	usage()
}

// usage lists the items and exits.
func usage() {
	fmt.Fprintln(os.Stderr, "usage: run ITEM [FLAGS]\n\nItems:")
	for _, it := range items {
		fmt.Fprintf(os.Stderr, "  %-10s %s\n", it.name, it.what)
	}
	os.Exit(2)
}
