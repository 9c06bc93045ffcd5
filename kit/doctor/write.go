package doctor

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Write writes the report for people: how long each part took as well, if it is to be verbose.
func (r *Report) Write(w io.Writer, verbose bool) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Looked at everything up to position %d in %.1f s:\n", r.Position, r.Seconds)
	for _, what := range slices.Sorted(maps.Keys(r.Checked)) {
		fmt.Fprintf(&b, "  %-24s %d\n", what, r.Checked[what])
	}
	if verbose {
		for _, t := range r.Took {
			fmt.Fprintf(&b, "  %7.2f s  %-30s %s\n", t.Seconds, t.Part, t.Invariants)
		}
	}
	list := func(title string, lines []string) {
		for i, l := range lines {
			if i == 0 {
				fmt.Fprintln(&b, title)
			}
			fmt.Fprintf(&b, "  %s\n", l)
		}
	}
	list("Not looked at:", r.Skipped)
	list("Worth knowing:", r.Notes)
	if !r.AtRest {
		list("The system was not at rest. What moves is only looked at as far as it can be:", r.Moving)
	}
	for _, f := range r.Findings {
		fmt.Fprintln(&b, f)
	}
	if r.Healthy {
		fmt.Fprintln(&b, "All is well.")
	}
	for _, i := range slices.Sorted(maps.Keys(r.Breaches)) {
		fmt.Fprintf(&b, "%s is broken %d times.\n", i, r.Breaches[i])
	}
	_, err := io.WriteString(w, b.String())
	return err
}
