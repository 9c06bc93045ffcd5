package demo

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Report is what a run came to. Latencies count from when an order was due.
type Report struct {
	Run           string          `json:"run"`
	Orders        int             `json:"orders"`
	Ended         int             `json:"ended"`
	Statuses      map[string]int  `json:"statuses"` // "confirmed", "rejected: out_of_stock", …
	RateAsked     float64         `json:"rate_asked_per_second"`
	RatePlaced    float64         `json:"rate_placed_per_second"`
	RateEnded     float64         `json:"rate_ended_per_second"`
	Seconds       float64         `json:"seconds"` // from the first order to the last end
	Prepared      float64         `json:"prepared_seconds"`
	Post          Latencies       `json:"post"`            // to the POST's answer
	PlacedToEnded Latencies       `json:"placed_to_ended"` // all orders
	Prompt        Latencies       `json:"prompt"`          // those whose payment answers at once
	Tokens        map[string]Fare `json:"tokens"`
	SKUs          int             `json:"skus"`
	ProductsAdded int             `json:"products_added"`
	UnitsNeeded   int             `json:"units_needed"`
	UnitsReceived int             `json:"units_received"`
	Retries       int64           `json:"retries"`
	Position      string          `json:"position"`
	Notes         []string        `json:"notes,omitempty"`
	Findings      []string        `json:"findings"`
	Healthy       bool            `json:"healthy"`

	// Acknowledged is what the first answers said, for the doctor.
	Acknowledged []Acknowledged `json:"-"`
}

// Fare is how the orders paid with one token fared.
type Fare struct {
	Orders   int            `json:"orders"`
	Statuses map[string]int `json:"statuses"`
	Ended    Latencies      `json:"placed_to_ended"`
}

// Acknowledged is an order that was answered with 201.
type Acknowledged struct {
	Stream             string
	Revision, Position uint64
}

func (r *run) report(ctx context.Context) (*Report, error) {
	out := &Report{
		Run: r.cfg.Plan.Run, Orders: len(r.fates), Ended: int(r.ended.Load()), Statuses: map[string]int{}, Tokens: map[string]Fare{},
		RateAsked: r.cfg.Rate, Seconds: r.took.Seconds(), Prepared: r.prepared.Seconds(),
		SKUs: len(r.shelves), ProductsAdded: int(r.added.Load()), Findings: []string{},
	}
	for _, a := range r.cfg.Plan.Articles {
		out.UnitsNeeded += a.Needed
		out.UnitsReceived += a.Supply
	}
	r.count(out)
	if r.resumed.Load() {
		out.Notes = append(out.Notes, "a run of this name was there before: rates and latencies are of its repeats, and the shelves were not compared")
	}
	if r.cfg.Shared {
		out.Notes = append(out.Notes, "others may trade meanwhile: the shelves were not compared")
	}
	var found findings
	if err := r.check(ctx, &found); err != nil {
		return nil, fmt.Errorf("every order was placed, but what came of them cannot be read: %w", err)
	}
	slices.Sort(found.list)
	out.Findings, out.Healthy = append(out.Findings, found.list...), len(found.list) == 0
	out.Retries = r.client.retries.Load()
	return out, nil
}

// count sums up the fates.
func (r *run) count(out *Report) {
	var posts, ends, prompt []time.Duration
	byToken := map[string][]time.Duration{}
	var lastPost time.Duration
	var position uint64
	for i, f := range r.fates {
		o := r.cfg.Plan.Orders[i]
		fare := out.Tokens[o.Token]
		if fare.Statuses == nil {
			fare.Statuses = map[string]int{}
		}
		fare.Orders++
		status := f.order.label()
		fare.Statuses[status]++
		out.Tokens[o.Token] = fare
		out.Statuses[status]++
		if f.posted > 0 {
			posts = append(posts, f.posted)
			lastPost = max(lastPost, r.due(i).Sub(r.began)+f.posted)
			out.Acknowledged = append(out.Acknowledged, acknowledged(o.ID, f.etag))
		}
		if f.err != nil || f.took == 0 {
			continue
		}
		ends = append(ends, f.took)
		byToken[o.Token] = append(byToken[o.Token], f.took)
		if o.Token == Approve || o.Token == Decline {
			prompt = append(prompt, f.took)
		}
		position = max(position, f.position)
	}
	out.Position = strconv.FormatUint(position, 10)
	if lastPost > 0 {
		out.RatePlaced = float64(len(posts)) / lastPost.Seconds()
	}
	if r.took > 0 {
		out.RateEnded = float64(len(ends)) / r.took.Seconds()
	}
	out.Post, out.PlacedToEnded, out.Prompt = Measured(posts), Measured(ends), Measured(prompt)
	for token, took := range byToken {
		fare := out.Tokens[token]
		fare.Ended = Measured(took)
		out.Tokens[token] = fare
	}
}

func (s shown) label() string {
	if code := s.code(); code != "" {
		return s.Status + ": " + code
	}
	return cmp.Or(s.Status, "not placed")
}

// acknowledged reads an ETag, "<revision>-<position>".
func acknowledged(id, etag string) Acknowledged {
	revision, position, _ := strings.Cut(strings.Trim(etag, `"`), "-")
	a := Acknowledged{Stream: "order-" + id}
	a.Revision, _ = strconv.ParseUint(revision, 10, 64) // what is no number is found out by the doctor
	a.Position, _ = strconv.ParseUint(position, 10, 64)
	return a
}

// String is for people.
func (r *Report) String() string {
	var b strings.Builder
	row := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "  %-24s %s\n", what, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&b, "Run %s: %d orders, %d ended, in %.1f s\n", r.Run, r.Orders, r.Ended, r.Seconds)
	for _, status := range slices.Sorted(maps.Keys(r.Statuses)) {
		row(status, "%d", r.Statuses[status])
	}
	row("orders a second", "%.1f asked, %.1f placed, %.1f ended", r.RateAsked, r.RatePlaced, r.RateEnded)
	row("goods", "%d SKUs (%d added); %d of %d units received, in %.1f s", r.SKUs, r.ProductsAdded, r.UnitsReceived, r.UnitsNeeded, r.Prepared)
	fmt.Fprintf(&b, "  %-24s %6s %10s %10s %10s %10s\n", "milliseconds", "n", "p50", "p99", "p999", "max")
	times := func(what string, l Latencies) {
		fmt.Fprintf(&b, "  %-24s %6d %10.1f %10.1f %10.1f %10.1f\n", what, l.N, l.P50, l.P99, l.P999, l.Max)
	}
	times("POST", r.Post)
	times("placed to ended", r.PlacedToEnded)
	times("… prompt payments only", r.Prompt)
	for _, token := range slices.Sorted(maps.Keys(r.Tokens)) {
		times("  "+token, r.Tokens[token].Ended)
	}
	if r.Retries > 0 {
		row("asked again", "%d times, after no answer or a passing error", r.Retries)
	}
	for _, n := range r.Notes {
		row("note", "%s", n)
	}
	for _, f := range r.Findings {
		row("WRONG", "%s", f)
	}
	if r.Healthy {
		fmt.Fprintf(&b, "By what the API says every order ended as it must, with its money and its goods.\n")
	}
	return b.String()
}
