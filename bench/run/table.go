package main

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"
)

// table is what a subcommand prints: for each case a line per system, with how
// it compares with the first one.
type table struct {
	tw *tabwriter.Writer
}

// newTable begins a table of figures in the given unit.
func newTable(w io.Writer, title, unit string) *table {
	fmt.Fprintf(w, "\n%s (%s)\n", title, unit)
	t := &table{tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)}
	fmt.Fprintln(t.tw, "case\tsystem\truns\tfailed\tmin\tmedian\tmax\tratio\tpairwise\t")
	return t
}

// add prints the samples of one case, by system. The first system is what the
// others are compared with.
func (t *table) add(name string, systems []string, by map[string]sample) {
	for i, s := range systems {
		v, has := by[s]
		if !has {
			continue
		}
		ratio, pairwise := "", ""
		if base := by[systems[0]]; i > 0 && base.median() > 0 {
			ratio, pairwise = figure(v.median()/base.median()), figure(v.over(base).median())
		}
		fmt.Fprintf(t.tw, "%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t\n", name, s, len(v), v.failures(),
			figure(v.min()), figure(v.median()), figure(v.max()), ratio, pairwise)
	}
}

// end prints what is still buffered.
func (t *table) end() { t.tw.Flush() }

// figure writes v with three digits that matter.
func figure(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return "-"
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 1:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.3f", v)
	}
}
