package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/daybook-dev/daybook/internal/reader"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection/plan"
)

// Explanation is the answer to GET /admin/v1/projections/{name}/why: the events that made a row.
type Explanation struct {
	Projection string     `json:"projection"`
	Key        string     `json:"key"`
	Suffix     string     `json:"suffix"`
	Items      []RowCause `json:"items"`
	Next       *int64     `json:"next"` // version to go on after; null: that was all
	Position   string     `json:"position"`
}

// RowCause is one of them.
type RowCause struct {
	Version    int64       `json:"version"`
	Position   string      `json:"position"`
	Stream     string      `json:"stream"`
	Revision   uint64      `json:"revision"`
	Type       string      `json:"type"`
	At         time.Time   `json:"at"`
	RecordedAt time.Time   `json:"recorded_at"`
	Actor      *es.Actor   `json:"actor,omitempty"`
	Command    *CauseOf    `json:"command,omitempty"`
	Answers    *Answers    `json:"answers,omitempty"`
	Cause      string      `json:"causation_id,omitempty"`
	Process    string      `json:"correlation_id,omitempty"`
	Changes    []RowChange `json:"changes"`
}

// CauseOf is the command that an event is the answer to.
type CauseOf struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Answers is the effect of a saga that an event answers.
type Answers struct {
	Effect   string `json:"effect"`
	Instance string `json:"instance"`
}

// RowChange is one field of a row that an event changed.
type RowChange struct {
	Pointer string          `json:"pointer"`
	Before  json.RawMessage `json:"before,omitempty"`
	After   json.RawMessage `json:"after,omitempty"`
}

// whyAsked is what of a row is asked for.
type whyAsked struct {
	key   plan.Key
	after int64 // version
	limit int
}

const (
	whyUsually = 50
	whyAtMost  = 200
)

func readWhy(raw string) (ask whyAsked, err error) {
	given, err := url.ParseQuery(raw)
	if err != nil {
		return ask, fmt.Errorf("the query string cannot be read: %w", err)
	}
	for name, values := range given {
		switch {
		case !slices.Contains([]string{"key", "suffix", "after", "limit"}, name):
			return ask, fmt.Errorf("there is no parameter %q", name)
		case len(values) > 1:
			return ask, fmt.Errorf("%s is given more than once", name)
		case slices.Contains([]byte(values[0]), 0):
			return ask, fmt.Errorf("%s contains U+0000", name)
		}
	}
	ask = whyAsked{plan.Key{Key: given.Get("key"), Suffix: given.Get("suffix")}, -1, whyUsually}
	if !given.Has("key") {
		return ask, errors.New("key is missing: that of the row")
	}
	if given.Has("after") {
		if ask.after, err = strconv.ParseInt(given.Get("after"), 10, 64); err != nil || ask.after < 0 {
			return ask, errors.New("after must be a version, from 0")
		}
	}
	if given.Has("limit") {
		if ask.limit, err = strconv.Atoi(given.Get("limit")); err != nil || ask.limit < 1 || ask.limit > whyAtMost {
			return ask, fmt.Errorf("limit must be 1 to %d", whyAtMost)
		}
	}
	return ask, nil
}

func shownHistory(name string, ask whyAsked, h reader.History) Explanation {
	out := Explanation{Projection: name, Key: ask.key.Key, Suffix: ask.key.Suffix, Items: make([]RowCause, len(h.Causes)), Position: strconv.FormatUint(h.Position, 10)}
	for i, c := range h.Causes {
		at := c.Meta.OccurredAt
		if at.IsZero() {
			at = c.Event.Created
		}
		one := RowCause{
			Version: c.Version, Position: strconv.FormatUint(c.Event.Position, 10), Stream: c.Event.Stream.String(), Revision: c.Event.Revision, Type: c.Event.Type,
			At: at.UTC(), RecordedAt: c.Event.Created.UTC(), Cause: c.Meta.Causation, Process: c.Meta.Correlation, Changes: make([]RowChange, len(c.Changes)),
		}
		if c.Meta.Actor != (es.Actor{}) {
			one.Actor = &c.Meta.Actor
		}
		if c.Meta.Command.Name != "" {
			one.Command = &CauseOf{c.Meta.Command.ID.String(), c.Meta.Command.Name}
		}
		if c.Meta.Effect.Instance != "" {
			one.Answers = &Answers{c.Meta.Effect.ID.String(), c.Meta.Effect.Instance}
		}
		for n, change := range c.Changes {
			one.Changes[n] = RowChange(change)
		}
		out.Items[i] = one
	}
	if h.More {
		out.Next = &h.Causes[len(h.Causes)-1].Version
	}
	return out
}
