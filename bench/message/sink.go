package message

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"example.com/tcpnet/bench/report"
)

// Sink takes in what comes by all connections of a program: messages, or anything,
// which it discards. It is a flag: the sizes of the messages of each phase.
type Sink struct {
	sizes []int

	mu   sync.Mutex // guards seen
	seen map[uint32]*seen
}

// NewSink returns a sink that discards what comes.
func NewSink() *Sink { return &Sink{seen: make(map[uint32]*seen)} }

func (s *Sink) String() string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(s.sizes), " ", ","), "[]")
}

// Set takes the sizes of the messages, by phase, with commas.
func (s *Sink) Set(sizes string) error {
	for f := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(f)
		if err != nil || n < headerLen {
			return fmt.Errorf("%q is not a size of messages, which have at least %d bytes", f, headerLen)
		}
		s.sizes = append(s.sizes, n)
	}
	return nil
}

// Commands returns the commands that the harness gives: "broadcast", with a Phase, and
// "received", with its number. sender returns how the messages of a phase are sent.
func (s *Sink) Commands(w *report.Writer, sender func(Phase) func([]byte)) map[string]func(string) {
	return map[string]func(string){
		"broadcast": func(words string) {
			p, err := ParsePhase(words)
			if err != nil {
				fmt.Fprintln(os.Stderr, "broadcast:", err)
				return
			}
			p.Run(w, sender(p))
		},
		"received": func(words string) {
			if phase, err := strconv.ParseUint(words, 10, 32); err == nil {
				s.report(w, uint32(phase))
			}
		},
	}
}

// seen is what has come in of one phase.
type seen struct {
	messages    int
	first, last int64 // when the first was sent and the last came in
	delays      []int64
}

// maxDelays is how many delays are kept: in the phases that delays are asked of,
// there are fewer.
const maxDelays = 1 << 16

// Receive reads from r until it ends, and returns the error that ended it.
func (s *Sink) Receive(r io.Reader) error {
	size := 512
	if len(s.sizes) > 0 {
		size = 256 << 10
	}
	b := make([]byte, size)
	have := 0
	for {
		n, err := r.Read(b[have:])
		if err != nil {
			return err
		}
		if len(s.sizes) > 0 {
			have += n
			used := s.take(b[:have], report.Now())
			have = copy(b, b[used:have])
		}
	}
}

// take takes in whole messages from the front of b, and returns how many bytes they
// have.
func (s *Sink) take(b []byte, now int64) (used int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if len(b)-used < headerLen {
			return used
		}
		at, phase := get(b[used:])
		size := s.sizes[phase]
		if len(b)-used < size {
			return used
		}
		used += size
		p := s.seen[phase]
		if p == nil {
			p = &seen{first: at}
			s.seen[phase] = p
		}
		p.messages++
		p.last = now
		if len(p.delays) < maxDelays {
			p.delays = append(p.delays, now-at)
		}
	}
}

// report reports what has come in of a phase: how many messages, how long that took
// from the sending of the first to the arrival of the last, and how long half and
// 99 of 100 were under way, in nanoseconds.
func (s *Sink) report(w *report.Writer, phase uint32) {
	var p seen
	s.mu.Lock()
	if have := s.seen[phase]; have != nil {
		p = *have
	}
	delays := slices.Clone(p.delays)
	s.mu.Unlock()
	var p50, p99 int64
	if n := len(delays); n > 0 {
		slices.Sort(delays)
		p50, p99 = delays[n/2], delays[n*99/100]
	}
	w.Now(report.Result, "", fmt.Sprintf("phase=%d received=%d took=%d p50=%d p99=%d", phase, p.messages, p.last-p.first, p50, p99))
}
