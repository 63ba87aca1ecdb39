// Package figures prints the figures of benchmarks, keeps them as JSON lines and holds them against
// bench/limits.yaml.
package figures

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"sigs.k8s.io/yaml"
)

// Figure is one measured number. Floor is the same work without the product, measured in the same run;
// zero when there is none.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Floor float64 `json:"floor,omitempty"`
	// Ratio of value to floor; Add computes it from both when it is zero.
	Ratio float64 `json:"ratio,omitempty"`
	Limit float64 `json:"limit,omitempty"`
	OK    bool    `json:"ok"`
}

// Limit bounds the value or the ratio of a figure.
type Limit struct {
	Of      string   `json:"of"`
	AtLeast *float64 `json:"atLeast"`
	AtMost  *float64 `json:"atMost"`
	Reason  string   `json:"reason"`
}

// Report collects the figures of one run.
type Report struct {
	out    io.Writer
	limits map[string]Limit
	all    []Figure
}

// New reads bench/limits.yaml below root, the top folder of the repository.
func New(root string, out io.Writer) (*Report, error) {
	raw, err := os.ReadFile(filepath.Join(root, "bench", "limits.yaml"))
	if err != nil {
		return nil, fmt.Errorf("read the limits: %w", err)
	}
	r := &Report{out: out}
	if err := yaml.UnmarshalStrict(raw, &r.limits); err != nil {
		return nil, fmt.Errorf("parse bench/limits.yaml: %w", err)
	}
	return r, nil
}

// Add holds f against its limit and prints it as
// "figure <name> <value> <unit> floor=<value> ratio=<value> limit=<value> <ok|over>".
func (r *Report) Add(f Figure) {
	if f.Ratio == 0 && f.Floor != 0 {
		f.Ratio = f.Value / f.Floor
	}
	f.OK = true
	limit, limited := r.limits[f.Name]
	if limited {
		held := f.Value
		if limit.Of == "ratio" {
			held = f.Ratio
		}
		switch {
		case limit.AtLeast != nil:
			f.Limit, f.OK = *limit.AtLeast, held >= *limit.AtLeast
		case limit.AtMost != nil:
			f.Limit, f.OK = *limit.AtMost, held <= *limit.AtMost
		}
	}
	verdict := "ok"
	if !f.OK {
		verdict = "over"
	}
	value := number(f.Value)
	if f.Value == 0 {
		value = "0"
	}
	fmt.Fprintf(r.out, "figure %s %s %s floor=%s ratio=%s limit=%s %s\n", f.Name, value, f.Unit, number(f.Floor), number(f.Ratio), number(f.Limit), verdict)
	r.all = append(r.all, f)
}

// number prints three significant digits and "-" for nothing.
func number(v float64) string {
	switch {
	case v == 0:
		return "-"
	case v >= 1000:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// Close writes bench/out/<file>.jsonl below root and returns an error when a figure is over its limit.
func (r *Report) Close(root, file string) error {
	dir := filepath.Join(root, "bench", "out")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("create the output folder: %w", err)
	}
	var lines []byte
	var over []string
	for _, f := range r.all {
		line, err := json.Marshal(f)
		if err != nil {
			return fmt.Errorf("encode figure %s: %w", f.Name, err)
		}
		lines = append(append(lines, line...), '\n')
		if !f.OK {
			over = append(over, f.Name)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, file+".jsonl"), lines, 0o644); err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	if len(over) > 0 {
		return fmt.Errorf("over the limit: %v (reasons in bench/limits.yaml)", over)
	}
	return nil
}

// Median of values, which it sorts.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[len(values)/2]
}
