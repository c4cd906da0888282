package metrics_test

import (
	"crypto/rand"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metricsql"
	dto "github.com/prometheus/client_model/go"

	"example.com/tcpnet"
)

// dashboard is what matters here of a dashboard's JSON.
type dashboard struct {
	Panels []struct {
		ID      int
		Title   string
		Type    string
		Targets []struct{ Expr string }
	}
	Templating struct {
		List []struct {
			Name       string
			Definition string
		}
	}
}

// Every expression can be parsed and asks for metrics, and labels of them, that exist.
// And every metric is asked for.
func TestDashboardShowsTheMetricsThatThereAre(t *testing.T) {
	text, err := os.ReadFile("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	have := gather(t, join(t, tcpnet.Config{Name: "dashboard-" + rand.Text()}))
	used := make(map[string]bool)
	check := func(where, expr string) { checkExpression(t, have, used, where, expr) }
	ids := make(map[int]bool)
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("%s: a second panel has the ID %d", p.Title, p.ID)
		}
		ids[p.ID] = true
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%s shows nothing", p.Title)
		}
		for _, q := range p.Targets {
			check(p.Title, q.Expr)
		}
	}
	for _, v := range d.Templating.List {
		if inside, ok := strings.CutPrefix(v.Definition, "label_values("); ok {
			check("variable "+v.Name, inside[:strings.LastIndex(inside, ",")])
		}
	}
	for _, name := range sorted(have) {
		if !used[name] {
			t.Errorf("%s is on no panel", name)
		}
	}
}

// checkExpression checks an expression against the metrics that there are, and takes
// note of those that it uses.
func checkExpression(t *testing.T, have map[string]*dto.MetricFamily, used map[string]bool, where, expr string) {
	t.Helper()
	expr = strings.ReplaceAll(expr, "$__rate_interval", "1m")
	parsed, err := metricsql.Parse(expr)
	if err != nil {
		t.Errorf("%s: %v in %s", where, err, expr)
		return
	}
	var grouped []string
	var asked []*dto.MetricFamily
	metricsql.VisitAll(parsed, func(e metricsql.Expr) {
		switch e := e.(type) {
		case *metricsql.AggrFuncExpr:
			grouped = append(grouped, e.Modifier.Args...)
		case *metricsql.MetricExpr:
			for _, filters := range e.LabelFilterss {
				var f *dto.MetricFamily
				for _, l := range filters {
					if l.Label == "__name__" {
						if f = family(have, l.Value); f == nil {
							t.Errorf("%s: there is no metric %s", where, l.Value)
							return
						}
						used[f.GetName()] = true
						asked = append(asked, f)
					} else if !labelled(f, l.Label) {
						t.Errorf("%s: no label %s in %s", where, l.Label, expr)
					}
				}
			}
		}
	})
	if len(asked) == 0 {
		t.Errorf("%s asks for nothing: %s", where, expr)
	}
	for _, label := range grouped {
		if !slices.ContainsFunc(asked, func(f *dto.MetricFamily) bool { return labelled(f, label) }) {
			t.Errorf("%s: no label %s to group by in %s", where, label, expr)
		}
	}
}

// alarm is a row of the table of alarms.
var alarm = regexp.MustCompile("(?m)^\\| `([^`]*tcpnet_[^`]*)`")

// The alarms that the manual proposes are made of the metrics that there are.
func TestAlarmsOfTheManual(t *testing.T) {
	text, err := os.ReadFile("../docs/OPERATING.md")
	if err != nil {
		t.Fatal(err)
	}
	have := gather(t, join(t, tcpnet.Config{Name: "alarms-" + rand.Text()}))
	rows := alarm.FindAllStringSubmatch(string(text), -1)
	if len(rows) == 0 {
		t.Error("there are none")
	}
	for _, row := range rows {
		checkExpression(t, have, make(map[string]bool), "OPERATING.md", strings.ReplaceAll(row[1], `\|`, "|"))
	}
}

// family returns what a name in an expression stands for, which is a part of a
// histogram's, or nil.
func family(have map[string]*dto.MetricFamily, name string) *dto.MetricFamily {
	if f := have[name]; f != nil && f.GetType() != dto.MetricType_HISTOGRAM {
		return f
	}
	for _, part := range []string{"_bucket", "_sum", "_count"} {
		if whole, ok := strings.CutSuffix(name, part); ok && have[whole].GetType() == dto.MetricType_HISTOGRAM {
			return have[whole]
		}
	}
	return nil
}

// labelled reports whether the metrics of a family have a label. Prometheus adds
// instance and job.
func labelled(f *dto.MetricFamily, label string) bool {
	if label == "instance" || label == "job" || label == "le" && f.GetType() == dto.MetricType_HISTOGRAM {
		return true
	}
	for _, l := range f.GetMetric()[0].GetLabel() {
		if l.GetName() == label {
			return true
		}
	}
	return false
}
