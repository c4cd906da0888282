package model

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

var deep = flag.Bool("model.deep", false, "check the large scenarios too: seven million states, three minutes, 1 GB")

// checked is a scenario in which the protocol has to hold.
type checked struct {
	name  string
	macro string
	size  size
}

// size is how much there is to explore.
type size int

const (
	small size = iota // compiling takes longer
	large             // some hundred thousand states
	huge              // for -model.deep
)

var scenarios = []checked{
	{"nothing goes wrong", "", small},
	{"only the arbiter reaches the other, false timeouts", "ONLY=0 CUTS=1 SLOW=1", small},
	{"only the other reaches the arbiter, false timeouts", "ONLY=1 CUTS=1 SLOW=1", small},
	{"a cut and a false timeout", "CUTS=1 SLOW=1", large},
	{"a restart and a false timeout", "KILLS=1 SLOW=1", large},
	{"a power cut", "POWERS=1", small},
	{"two arbiters with one ID", "TWIN=0", small},
	{"two others with one ID", "TWIN=1", small},
	{"only the arbiter reaches the other, restarts", "ONLY=0 KILLS=1 POWERS=1 SLOW=1", huge},
	{"only the other reaches the arbiter, restarts", "ONLY=1 KILLS=1 POWERS=1 SLOW=1", huge},
	{"two cuts and a false timeout", "CUTS=2 SLOW=1 LINKS=5", huge},
	{"two restarts", "KILLS=2", huge},
	{"two power cuts", "POWERS=2", huge},
	{"a restart and a power cut", "KILLS=1 POWERS=1 LINKS=5", huge},
	{"a power cut and a cut", "POWERS=1 CUTS=1 LINKS=5", huge},
	{"a power cut and a false timeout", "POWERS=1 SLOW=1 LINKS=5", huge},
	{"two arbiters with one ID and a cut", "TWIN=0 CUTS=1", huge},
	{"two others with one ID and a cut", "TWIN=1 CUTS=1", huge},
	{"two arbiters with one ID and a restart", "TWIN=0 KILLS=1", huge},
	{"two others with one ID and a restart", "TWIN=1 KILLS=1", huge},
	{"two others with one ID and a false timeout", "TWIN=1 SLOW=1", huge},
}

// The protocol is safe and always comes to agreement, in every order of events.
func TestTheProtocolHolds(t *testing.T) {
	spin := require(t)
	total := make(chan int, 1)
	total <- 0
	t.Cleanup(func() { t.Logf("%d states in all", <-total) })
	for _, sc := range scenarios {
		if sc.size == huge && !*deep {
			continue
		}
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			r := check(t, spin, sc.macro, sc.size)
			if r.wrong != "" {
				t.Fatalf("%s\n%s", r.wrong, r.trace)
			}
			t.Logf("%d states in %v", r.states, r.took.Round(time.Millisecond))
			total <- <-total + r.states
		})
	}
}

// Rules that are not the protocol's are found out.
func TestMutantsAreFound(t *testing.T) {
	spin := require(t)
	for _, m := range []struct{ name, macro, wrong string }{
		{"both decide", "BOTH_DECIDE", "NO SPLIT"},
		{"the arbiter takes every link", "HOARDS", "NO DOUBLE"},
		{"an old link is believed alive", "TRUST_OLD CUTS=1", "NO AGREEMENT"},
		{"a new link takes the place of the old", "TRUST_NEW TWIN=1", "NO AGREEMENT"},
		{"the last COMMIT to arrive counts", "NO_SEQUENCE SLOW=1", "NO RELAPSE"},
		{"the other side has no veto", "NO_VETO TWIN=0", "NO HARM"},
	} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			if r := check(t, spin, m.macro, small); r.wrong != m.wrong {
				t.Errorf("found %q, want %q\n%s", r.wrong, m.wrong, r.trace)
			}
		})
	}
}

// require returns the model's path, or skips the test if there is no Spin. In CI
// that is a fault.
func require(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"spin", "gcc"} {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("install %s: %v", name, err)
			}
			t.Skipf("install %s to check the model: %v", name, err)
		}
	}
	if testing.Short() {
		t.Skip("takes a quarter of a minute")
	}
	path, err := filepath.Abs("arbiter.pml")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// result is what Spin has found.
type result struct {
	states int
	wrong  string // the property that does not hold, or nothing
	trace  string // how it comes to that
	took   time.Duration
}

var (
	storedStates = regexp.MustCompile(`(?m)^\s*([0-9.e+]+) states, stored`)
	failedLine   = regexp.MustCompile(`arbiter\.pml:(\d+), Error: assertion violated`)
	propertyName = regexp.MustCompile(`NO [A-Z]+`)
)

// check explores every state of the model with these macros defined.
func check(t *testing.T, model, macros string, sz size) (r result) {
	t.Helper()
	dir := t.TempDir()
	run := func(name string, args ...string) string {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", cmd, err, out)
		}
		return string(out)
	}
	var defs []string
	for m := range strings.FieldsSeq(macros) {
		defs = append(defs, "-D"+m)
	}
	optimise := "-O0" // takes a fifth of the time to compile, and twice the time to run
	if sz > small {
		optimise = "-O1"
	}
	run("spin", append(append([]string{"-a"}, defs...), model)...)
	run("gcc", "-w", optimise, "-DNOREDUCE", "-DCOLLAPSE", "-DMEMLIM=3000", "-o", "pan", "pan.c")
	begin := time.Now()
	out := run("./pan", "-a", "-m500000")
	r.took = time.Since(begin)
	m := storedStates.FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no number of states:\n%s", out)
	}
	states, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	r.states = int(states)
	if strings.Contains(out, "errors: 0") {
		if strings.Contains(out, "Search not completed") || strings.Contains(out, "too small") {
			t.Fatalf("not all was explored:\n%s", out)
		}
		return r
	}
	r.trace = run("spin", append(append([]string{"-k", "arbiter.pml.trail"}, defs...), model)...)
	r.wrong = "NO AGREEMENT"
	if m := failedLine.FindStringSubmatch(r.trace); m != nil {
		r.wrong = property(t, model, m[1])
	}
	return r
}

// property returns the name of what is asserted in a line of the model: it stands
// in the comment before.
func property(t *testing.T, model, line string) string {
	t.Helper()
	b, err := os.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(b), "\n")
	for i := n - 1; i >= max(0, n-12); i-- {
		if name := propertyName.FindString(lines[i]); name != "" {
			return name
		}
	}
	return fmt.Sprintf("the assertion in line %d: %s", n, strings.TrimSpace(lines[n-1]))
}
