package message

import (
	"flag"
	"fmt"
	"strings"
	"time"

	"example.com/tcpnet/bench/report"
)

// Phase is one phase of a measurement, as the harness orders it.
type Phase struct {
	Number uint
	Size   int           // bytes of a message
	Rate   float64       // messages a second; 0: as many as possible
	For    time.Duration // how long
}

// String returns the words that ParsePhase reads.
func (p Phase) String() string {
	return fmt.Sprintf("-number=%d -size=%d -rate=%g -for=%v", p.Number, p.Size, p.Rate, p.For)
}

// ParsePhase reads what String wrote.
func ParsePhase(words string) (p Phase, err error) {
	fs := flag.NewFlagSet("phase", flag.ContinueOnError)
	fs.UintVar(&p.Number, "number", 0, "")
	fs.IntVar(&p.Size, "size", 0, "")
	fs.Float64Var(&p.Rate, "rate", 0, "")
	fs.DurationVar(&p.For, "for", 0, "")
	if err := fs.Parse(strings.Fields(words)); err != nil {
		return p, err
	}
	if p.Size < headerLen {
		return p, fmt.Errorf("a message has at least %d bytes, not %d", headerLen, p.Size)
	}
	return p, nil
}

// Run sends the messages of a phase with send, which may keep its caller waiting, and
// reports how many that were.
func (p Phase) Run(w *report.Writer, send func([]byte)) {
	b := make([]byte, p.Size)
	begin := time.Now()
	sent := 0
	for {
		if p.Rate > 0 {
			time.Sleep(time.Until(begin.Add(time.Duration(float64(sent) / p.Rate * float64(time.Second)))))
		}
		if (p.Rate > 0 || sent%64 == 0) && time.Since(begin) >= p.For {
			break
		}
		put(b, report.Now(), uint32(p.Number))
		send(b)
		sent++
	}
	w.Now(report.Result, "", fmt.Sprintf("phase=%d sent=%d", p.Number, sent))
}
