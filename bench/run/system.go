package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// system is one of the programs that are compared.
type system interface {
	name() string
	id(place int) string                            // a new id for the node at that place
	command(l *lan, place int, id string) *exec.Cmd // what to run there
}

// floorSystem is the program that is told all addresses.
type floorSystem struct {
	bin   string   // directory of the programs
	flags []string // further flags
}

const floorPort = 7000

func (floorSystem) name() string        { return "floor" }
func (floorSystem) id(place int) string { return strconv.Itoa(place) }

func (s floorSystem) command(l *lan, place int, id string) *exec.Cmd {
	earlier := make([]string, place)
	for i := range earlier {
		earlier[i] = fmt.Sprintf("%s:%d", l.addr(i), floorPort)
	}
	args := append([]string{
		"-id", id,
		"-listen", fmt.Sprintf("%s:%d", l.addr(place), floorPort),
		"-peers", strings.Join(earlier, ","),
	}, s.flags...)
	return exec.Command(filepath.Join(s.bin, "floor"), args...)
}
