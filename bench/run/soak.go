package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"example.com/tcpnet/bench/report"
)

const (
	// bout is how long faults are made before everything is mended.
	bout = 45 * time.Second
	// aftermath is how long after the end of a fault the nodes that it was
	// between may lose each other: the time-out, and what a busy machine and the
	// kernel's own repetitions add.
	aftermath = 15 * time.Second
	// chatEvery is how often each node says something on each connection.
	chatEvery = time.Second
)

// flatness is what must not grow in a node that lives through all of it.
var flatness = []held{
	{"resident kB", 0.25, 4096},
	{"anonymous kB", 0.25, 4096},
	{"heap kB", 0.25, 1024},
	{"stack kB", 0.25, 512},
	{"goroutines", 0.1, 5},
	{"descriptors", 0.1, 5},
	{"threads", 0.25, 5},
}

// soak torments tcpnet nodes for as long as it is told to: bouts of faults, and after
// each of them a rest, in which every two nodes have to be connected within the
// limit and stay so. Nodes between which there is no fault must never lose each
// other, and those that live from beginning to end must not grow.
func soak(o options) error {
	return onLAN(o.n[0], func(l *lan) error {
		s := &soaking{options: o, f: newFleet(l, soaked(o))}
		defer s.f.stop()
		return s.run()
	})
}

// soaked is the system of soak.
func soaked(o options) system {
	s := tcpnetSystem{bin: o.bin, cluster: clusterName(), flags: []string{"-chat", chatEvery.String()}}
	if live, known := livenesses[o.liveness]; known {
		s.flags = append(s.flags, "-interval", live.interval.String(), "-timeout", live.timeout.String())
	}
	return s
}

// soaking is one run of soak.
type soaking struct {
	options
	f *fleet
	t *torment

	joined, lost int        // ends of connections that began, and that were told to have ended: who is killed tells nothing
	recovered    sample     // ms from the end of a bout to the full mesh
	wrong        []string   // what must never be
	figures      [][]sample // of each veteran, one of each of flatness
}

func (s *soaking) run() error {
	if s.seed == 0 {
		s.seed = rand.Uint64()>>1 | 1
	}
	fmt.Printf("%d nodes for %v, seed %d\n", s.n[0], s.window, s.seed)
	s.t = &torment{
		f: s.f, rnd: rand.New(rand.NewPCG(s.seed, 0)), veterans: s.n[0] / 4,
		excuses: newExcuses(int64(aftermath)), ills: make(map[int]*ill), count: make(map[string]int), last: make(map[int]string),
	}
	s.figures = make([][]sample, s.t.veterans)
	for i := range s.figures {
		s.figures[i] = make([]sample, len(flatness))
	}
	s.f.watch = s.watch
	if ok, err := s.f.assemble(s.n[0], s.options); !ok {
		return errors.Join(errors.New("no full mesh to begin with"), err)
	}
	stop, err := busy(s.options)
	defer stop()
	if err != nil {
		return err
	}
	for begun, number := time.Now(), 1; time.Since(begun) < s.window; number++ {
		if err := s.round(number); err != nil {
			return err
		}
	}
	return s.verdict()
}

// round is a bout of faults and the rest after it.
func (s *soaking) round(number int) error {
	for end := time.Now().Add(bout); time.Now().Before(end); {
		s.t.strike()
		for next := time.Now().Add(time.Duration(200+s.t.rnd.IntN(1800)) * time.Millisecond); time.Now().Before(next); time.Sleep(pollEvery) {
			if err := errors.Join(s.t.mend(false), s.f.drain()); err != nil {
				return err
			}
		}
	}
	if err := s.t.mend(true); err != nil {
		return err
	}
	mended := report.Now()
	took, err := s.f.untilFullAgain(mended, s.options)
	if err != nil {
		return err
	}
	s.recovered = append(s.recovered, took)
	if math.IsNaN(took) {
		s.complain("after bout %d: no full mesh within %v", number, s.limit)
	}
	rest := time.Duration(mended+int64(aftermath)-report.Now()) + s.settle
	if _, err := s.f.wait(rest, func() bool { return false }); err != nil {
		return err
	}
	if missing, doubled := s.f.seen.missing(s.f.places()); missing+doubled > 0 {
		s.complain("%v after bout %d: %d pairs missing, %d doubled", aftermath+s.settle, number, missing, doubled)
	}
	if err := s.weigh(); err != nil {
		return err
	}
	fmt.Printf("%s bout %d: full again after %s ms%s; %d connections made, %d things wrong; median veteran: %s\n",
		time.Now().UTC().Format("15:04:05"), number, figure(took), s.slowest(mended), s.joined/2, len(s.wrong), s.latest())
	return nil
}

// slowest tells which pair was the last to be connected since the given time, if one
// was, and what had been the matter with its nodes.
func (s *soaking) slowest(since int64) string {
	var a, b int
	at := since
	for p, h := range s.f.seen.links {
		if h.one > at {
			a, b, at = p.from, p.to, h.one
		}
	}
	if at == since {
		return ""
	}
	return fmt.Sprintf(" (last: %d, after %s, and %d, after %s)", a, cmp.Or(s.t.last[a], "nothing"), b, cmp.Or(s.t.last[b], "nothing"))
}

// watch sees every event of every node.
func (s *soaking) watch(from int, e report.Event) {
	switch e.Kind {
	case report.Connected:
		s.joined++
		return
	case report.Wrong:
		s.complain("node %d, of %s: %s", from, e.Peer, e.Text)
		return
	case report.Gone:
		s.lost++
	case report.Left:
	default:
		return
	}
	if to, known := s.f.seen.index[e.Peer]; known && !s.t.excuses.has(from, to, e.At) {
		s.complain("false departure: node %d lost node %d (%c: %s), and there was no fault between them", from, to, e.Kind, e.Text)
	}
}

// complain keeps what must never be, and tells it at once.
func (s *soaking) complain(format string, args ...any) {
	text := time.Now().UTC().Format("15:04:05 ") + fmt.Sprintf(format, args...)
	s.wrong = append(s.wrong, text)
	fmt.Fprintln(os.Stderr, text)
}

// weigh takes the figures of the veterans.
func (s *soaking) weigh() error {
	for v := range s.figures {
		if _, err := s.f.statOf(s.f.members[v], "trim"); err != nil {
			return err
		}
		held, err := s.f.holdings(s.f.members[v])
		if err != nil {
			return err
		}
		for i, x := range held {
			s.figures[v][i] = append(s.figures[v][i], x)
		}
	}
	return nil
}

// latest writes the last figures of the median veteran.
func (s *soaking) latest() string {
	var texts []string
	for i, h := range flatness {
		var all sample
		for _, v := range s.figures {
			all = append(all, v[i][len(v[i])-1])
		}
		texts = append(texts, figure(all.median())+" "+h.name)
	}
	return strings.Join(texts, ", ")
}

// verdict prints what became of it, and returns an error if anything was wrong.
func (s *soaking) verdict() error {
	fmt.Printf("\n%d bouts, seed %d; faults:", len(s.recovered), s.seed)
	for _, what := range slices.Sorted(maps.Keys(s.t.count)) {
		fmt.Printf(" %d %s,", s.t.count[what], what)
	}
	fmt.Printf("\nconnections made: %d; ends that saw theirs end: %d\n", s.joined/2, s.lost)
	fmt.Printf("full mesh after the end of a bout: median %s ms, min %s, max %s, %d failed\n",
		figure(s.recovered.median()), figure(s.recovered.min()), figure(s.recovered.max()), s.recovered.failures())
	s.judgeGrowth()
	for _, text := range s.wrong {
		fmt.Println("WRONG:", text)
	}
	if len(s.wrong) > 0 {
		return fmt.Errorf("%d things were wrong (seed %d)", len(s.wrong), s.seed)
	}
	fmt.Println("nothing was wrong")
	return nil
}

// judgeGrowth prints how the veterans have grown, by the medians of the first and
// the last third, and complains if one of them has.
func (s *soaking) judgeGrowth() {
	tw := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer tw.Flush()
	fmt.Fprintf(tw, "of %d nodes that lived through it\tfirst third\tlast third\t\n", len(s.figures))
	for i, h := range flatness {
		var firsts, lasts sample
		for v := range s.figures {
			first, last, ok := growth(s.figures[v][i])
			if !ok {
				fmt.Fprintln(tw, "too few bouts to tell whether they have grown\t\t\t")
				return
			}
			firsts, lasts = append(firsts, first), append(lasts, last)
			if err := h.grown(first, last); err != nil {
				s.complain("node %d: %v", v, err)
			}
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t\n", h.name, figure(firsts.median()), figure(lasts.median()))
	}
}
