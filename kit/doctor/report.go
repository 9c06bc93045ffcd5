package doctor

import (
	"fmt"
	"strings"

	"github.com/daybook-dev/daybook/kit/es"
)

// Acknowledged is an answer to a command: the stream it was about, its revision (the ETag) and the position.
type Acknowledged struct {
	Stream   string `json:"stream"`
	Revision uint64 `json:"revision"`
	Position uint64 `json:"position"`
}

// Finding is one breach.
type Finding struct {
	Invariant string  `json:"invariant"`
	Stream    string  `json:"stream,omitempty"`
	Revision  *uint64 `json:"revision,omitempty"`
	Position  uint64  `json:"position,omitempty"`
	Row       string  `json:"row,omitempty"` // table, key and version; or partition and offset; or another system's reference
	Problem   string  `json:"problem"`
	Expected  string  `json:"expected,omitempty"`
	Found     string  `json:"found,omitempty"`
}

// At is a breach by an event.
func At(invariant string, e es.Recorded, format string, args ...any) Finding {
	return Finding{
		Invariant: invariant, Stream: e.Stream.String(), Revision: &e.Revision, Position: e.Position, Problem: fmt.Sprintf(format, args...),
	}
}

// Values is the finding with what was expected and what was found.
func (f Finding) Values(expected, found any) Finding {
	f.Expected, f.Found = brief(fmt.Sprint(expected)), brief(fmt.Sprint(found))
	return f
}

const longest = 400 // bytes of a value in a finding

func brief(s string) string {
	if len(s) > longest {
		return strings.ToValidUTF8(s[:longest], "") + "…"
	}
	return s
}

func (f Finding) String() string {
	var b strings.Builder
	b.WriteString(f.Invariant)
	if f.Stream != "" {
		fmt.Fprintf(&b, "  %s", f.Stream)
		if f.Revision != nil {
			fmt.Fprintf(&b, "@%d", *f.Revision)
		}
	}
	if f.Position > 0 {
		fmt.Fprintf(&b, "  position %d", f.Position)
	}
	if f.Row != "" {
		fmt.Fprintf(&b, "  %s", f.Row)
	}
	fmt.Fprintf(&b, "  %s", f.Problem)
	if f.Expected != "" || f.Found != "" {
		fmt.Fprintf(&b, ": expected %s, found %s", f.Expected, f.Found)
	}
	return b.String()
}

// Report is what was looked at and what is wrong. Findings hold the first of each invariant; Breaches counts all.
type Report struct {
	Healthy  bool           `json:"healthy"`
	AtRest   bool           `json:"at_rest"`          // nothing was owed or behind when it was read
	Moving   []string       `json:"moving,omitempty"` // what was, if not
	Position uint64         `json:"position"`
	Checked  map[string]int `json:"checked"` // by what: events, streams, orders, …
	Skipped  []string       `json:"skipped,omitempty"`
	Notes    []string       `json:"notes,omitempty"`
	Findings []Finding      `json:"findings"`
	// MissingKeys are all subjects whose personal data cannot be shown although it was not erased.
	MissingKeys []string       `json:"missing_keys,omitempty"`
	Breaches    map[string]int `json:"breaches"` // by invariant
	Seconds     float64        `json:"seconds"`
	Took        []Took         `json:"took"` // where they went; read models are looked at beside the rest
}

// Took is how long one part of the examination took, and what it decided on.
type Took struct {
	Part       string  `json:"part"`
	Invariants string  `json:"invariants,omitempty"`
	Seconds    float64 `json:"seconds"`
}

// NewReport is a report of nothing yet.
func NewReport() *Report {
	return &Report{Checked: map[string]int{}, Breaches: map[string]int{}, Findings: []Finding{}}
}

const (
	mostKept   = 50 // findings of one invariant
	mostListed = 20 // notes, moving things
)

// Find reports a breach.
func (r *Report) Find(f Finding) {
	if r.Breaches[f.Invariant]++; r.Breaches[f.Invariant] <= mostKept {
		r.Findings = append(r.Findings, f)
	}
}

// Notef reports what is worth knowing and no breach.
func (r *Report) Notef(format string, args ...any) { r.Notes = listed(r.Notes, format, args...) }

// Movef reports what is still under way.
func (r *Report) Movef(format string, args ...any) { r.Moving = listed(r.Moving, format, args...) }

// Skipf reports what was not looked at, and why.
func (r *Report) Skipf(format string, args ...any) {
	r.Skipped = append(r.Skipped, fmt.Sprintf(format, args...))
}

func listed(list []string, format string, args ...any) []string {
	if len(list) < mostListed {
		list = append(list, fmt.Sprintf(format, args...))
	}
	return list
}

// Merge adds what another part of the examination has looked at and found.
func (r *Report) Merge(other *Report) {
	kept := map[string]int{}
	for _, f := range r.Findings {
		kept[f.Invariant]++
	}
	for _, f := range other.Findings {
		if kept[f.Invariant]++; kept[f.Invariant] <= mostKept {
			r.Findings = append(r.Findings, f)
		}
	}
	for invariant, n := range other.Breaches {
		r.Breaches[invariant] += n
	}
	for what, n := range other.Checked {
		r.Checked[what] += n
	}
	r.Skipped, r.Took = append(r.Skipped, other.Skipped...), append(r.Took, other.Took...)
	r.MissingKeys = append(r.MissingKeys, other.MissingKeys...)
	for _, n := range other.Notes {
		r.Notef("%s", n)
	}
}
