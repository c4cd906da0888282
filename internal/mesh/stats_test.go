package mesh

import (
	"errors"
	"testing"
	"time"

	"example.com/tcpnet/internal/link"
)

func TestHistogram(t *testing.T) {
	var h histogram
	for _, d := range []time.Duration{0, 100 * time.Microsecond, 101 * time.Microsecond, 5 * time.Second, time.Hour} {
		h.observe(d)
	}
	got := h.load()
	last := len(HistogramBounds)
	if got.Counts[0] != 2 || got.Counts[1] != 1 || got.Counts[last-1] != 1 || got.Counts[last] != 1 {
		t.Errorf("%v", got.Counts)
	}
	if want := time.Hour + 5*time.Second + 201*time.Microsecond; got.Sum != want {
		t.Errorf("sum %v, want %v", got.Sum, want)
	}
}

func TestWhatIsADialFailure(t *testing.T) {
	for _, test := range []struct {
		err  error
		want uint64
	}{
		{errors.New("connection refused"), 1},
		{&answer{code: link.CodeWrongName, err: ErrWrongName}, 1},
		{&answer{code: link.CodeDuplicate, err: errDuplicate}, 0},
		{&answer{code: link.CodeSelf, err: errSelf}, 0},
	} {
		var c counters
		c.dialFailed(test.err)
		if got := c.dialFailures.Load(); got != test.want {
			t.Errorf("%v: %d", test.err, got)
		}
	}
}
