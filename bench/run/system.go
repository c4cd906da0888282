package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"example.com/tcpnet"
)

// system is one of the programs that are compared.
type system interface {
	name() string
	id(place int) string                            // a new id for the node at that place
	command(l *lan, place int, id string) *exec.Cmd // what to run there
	tells() bool                                    // whether it reports that a peer left, beside the end of the connection
}

// systemsNamed returns the systems whose names are given with commas.
func systemsNamed(names string, o options) ([]system, error) {
	live, known := livenesses[o.liveness]
	if !known && o.liveness != "none" {
		return nil, fmt.Errorf("no liveness named %q", o.liveness)
	}
	var systems []system
	for name := range strings.SplitSeq(names, ",") {
		switch name {
		case "floor", "floor2":
			s := floorSystem{bin: o.bin, flags: slices.Clone(o.floor), link: name == "floor2"}
			if s.link {
				s.flags = append(s.flags, "-link")
			}
			if known {
				s.flags = append(s.flags, "-heartbeat", live.interval.String(), "-dead", live.timeout.String())
			}
			s.flags = append(s.flags, receives(o)...)
			systems = append(systems, s)
		case "tcpnet", "secret":
			s := tcpnetSystem{bin: o.bin, cluster: clusterName()}
			if name == "secret" {
				s.secret = tcpnet.NewSecret()
			}
			if known {
				s.flags = append(s.flags, "-interval", live.interval.String(), "-timeout", live.timeout.String())
			}
			s.flags = append(s.flags, receives(o)...)
			systems = append(systems, s)
		default:
			return nil, fmt.Errorf("no system named %q", name)
		}
	}
	return systems, nil
}

// receives returns the flags that tell a node which messages will come.
func receives(o options) []string {
	if len(o.messages) == 0 {
		return nil
	}
	return []string{"-messages", o.messages.String()}
}

// floorSystem is the program that is told all addresses.
type floorSystem struct {
	bin   string   // directory of the programs
	flags []string // further flags
	link  bool     // two sockets for each pair
}

const floorPort = 7000

func (s floorSystem) name() string {
	if s.link {
		return "floor2"
	}
	return "floor"
}

func (floorSystem) tells() bool         { return false }
func (floorSystem) id(place int) string { return strconv.Itoa(place) }

func (s floorSystem) command(l *lan, place int, id string) *exec.Cmd {
	earlier := make([]string, place)
	for i := range earlier {
		earlier[i] = fmt.Sprintf("%s:%d", l.hosts[i].Addr(), floorPort)
	}
	args := append([]string{
		"-id", id,
		"-listen", fmt.Sprintf("%s:%d", l.hosts[place].Addr(), floorPort),
		"-peers", strings.Join(earlier, ","),
	}, s.flags...)
	return exec.Command(filepath.Join(s.bin, "floor"), args...)
}

// secretVariable is how the measured programs are told the cluster's secret.
const secretVariable = "TCPNET_SECRET"

// tcpnetSystem is a program that is told only the cluster's name.
type tcpnetSystem struct {
	bin     string
	cluster string
	secret  string // none: an open cluster
	flags   []string
}

func (s tcpnetSystem) name() string {
	if s.secret != "" {
		return "secret"
	}
	return "tcpnet"
}

func (tcpnetSystem) tells() bool { return true }

// id returns 128 random bits, as a node chooses them for itself.
func (tcpnetSystem) id(int) string {
	var b [16]byte
	rand.Read(b[:])
	return fmt.Sprintf("%X", b)
}

func (s tcpnetSystem) command(_ *lan, _ int, id string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, "node"), append([]string{"-name", s.cluster, "-id", id}, s.flags...)...)
	if s.secret != "" {
		cmd.Env = append(os.Environ(), secretVariable+"="+s.secret)
	}
	return cmd
}

// clusterName returns a name that no other run has.
func clusterName() string { return "bench-" + strings.ToLower(rand.Text()[:6]) }
