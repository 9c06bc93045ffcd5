package bench

import (
	"fmt"
	"slices"
	"strings"

	"github.com/daybook-dev/daybook/internal/demo"
)

// Row is one thing measured.
type Row struct {
	Bench     string         `json:"bench"`
	Case      string         `json:"case"`
	PerSecond float64        `json:"per_second"` // median of the rounds
	Rounds    []float64      `json:"rounds"`
	Latency   demo.Latencies `json:"latency"`
	CPU       float64        `json:"cpu_us_per_op"`             // of the process under test, user and system
	Children  float64        `json:"cpu_us_per_op_of_children"` // what of it was its children's: a system's Postgres
	Load      float64        `json:"cpu_us_per_op_of_load"`     // of the process that makes the load, which shares the machine
	Memory    float64        `json:"memory_mb"`                 // private and resident, at most at a round's end
	Ratio     float64        `json:"ratio,omitempty"`
	To        string         `json:"ratio_to,omitempty"`
	Must      float64        `json:"ratio_must,omitempty"`
	Note      string         `json:"note,omitempty"`
}

// Report is all of a run.
type Report struct {
	Machine  Machine    `json:"machine"`
	Quick    bool       `json:"quick"`
	Rows     []Row      `json:"rows"`
	Figures  []Figure   `json:"figures,omitempty"`
	Memory   []Resident `json:"memory,omitempty"`
	Warnings []string   `json:"warnings,omitempty"`
	Seconds  float64    `json:"seconds"`
}

func median(of []float64) float64 {
	if len(of) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(of))
	if len(s)%2 == 0 {
		return (s[len(s)/2-1] + s[len(s)/2]) / 2
	}
	return s[len(s)/2]
}

// row sums up the rounds of one thing. per is how many operations one measured call was.
func row(bench, name string, rounds []sample, per int) Row {
	r := Row{Bench: bench, Case: name}
	var all sample
	for _, s := range rounds {
		if s.seconds > 0 {
			r.Rounds = append(r.Rounds, float64(s.ops*per)/s.seconds)
		}
		all.ops += s.ops
		all.took = append(all.took, s.took...)
		all.used, all.load = all.used.plus(s.used), all.load.plus(s.load)
		r.Memory = max(r.Memory, float64(s.used.resident)/(1<<20))
	}
	r.PerSecond, r.Latency = median(r.Rounds), demo.Measured(all.took)
	if n := float64(all.ops * per); n > 0 {
		r.CPU = float64(all.used.cpu.Microseconds()) / n
		r.Load = float64(all.load.cpu.Microseconds()) / n
		r.Children = float64(all.used.children.Microseconds()) / n
	}
	return r
}

// beside sets a row's ratio to another one.
func (r *Report) beside(bench, name, to string, must float64) {
	var one, other *Row
	for i := range r.Rows {
		if row := &r.Rows[i]; row.Bench == bench && row.Case == name {
			one = row
		} else if row.Bench == bench && row.Case == to {
			other = row
		}
	}
	if one != nil && other != nil && other.PerSecond > 0 {
		one.Ratio, one.To, one.Must = one.PerSecond/other.PerSecond, to, must
	}
}

// String is the table.
func (r *Report) String() string {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "%s, %d cores, %.0f GB, %s; %s, %s, Postgres %s, daybook %s\nload %s before, %s after; %.0f s\n",
		m.CPU, m.Cores, m.MemoryGB, m.FileSystem, m.OS, m.Go, m.Postgres, m.Daybook, m.LoadBefore, m.LoadAfter, r.Seconds)
	bench := ""
	for _, row := range r.Rows {
		if row.Bench != bench {
			bench = row.Bench
			fmt.Fprintf(&b, "\n%-46s %10s %19s %9s %9s %9s %8s %8s %7s  %s\n", bench, "/s", "of rounds", "p50 ms", "p99 ms", "p999 ms", "CPU µs", "load µs", "MB", "ratio")
		}
		ratio := ""
		if row.To != "" {
			ratio = fmt.Sprintf("%.2f × %s", row.Ratio, row.To)
			if row.Must > 0 {
				verdict := "reached"
				if row.Ratio < row.Must {
					verdict = "MISSED"
				}
				ratio += fmt.Sprintf(" (≥ %.2g: %s)", row.Must, verdict)
			}
		}
		if row.Children > 0 && row.Children < row.CPU*0.98 {
			ratio = strings.TrimSpace(fmt.Sprintf("%s  %.0f %% of the CPU is Postgres'", ratio, 100*row.Children/row.CPU))
		}
		if row.Note != "" {
			ratio = strings.TrimSpace(ratio + "  " + row.Note)
		}
		span := ""
		if len(row.Rounds) > 1 {
			span = fmt.Sprintf("%.0f–%.0f", slices.Min(row.Rounds), slices.Max(row.Rounds))
		}
		fmt.Fprintf(&b, "  %-44s %10.0f %19s %9.2f %9.2f %9.2f %8.1f %8.1f %7.0f  %s\n",
			row.Case, row.PerSecond, span, row.Latency.P50, row.Latency.P99, row.Latency.P999, row.CPU, row.Load, row.Memory, ratio)
	}
	if len(r.Figures) > 0 {
		b.WriteString("\n")
	}
	for _, f := range r.Figures {
		fmt.Fprintf(&b, "  %-44s %10.2f %s\n", f.Name, f.Value, f.Unit)
	}
	b.WriteString(residents(r.Memory))
	for _, w := range r.Warnings {
		fmt.Fprintf(&b, "\nNote: %s", w)
	}
	if len(r.Warnings) > 0 {
		b.WriteString("\n")
	}
	return b.String()
}
