package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/kit/doctor"
	"github.com/daybook-dev/daybook/kit/es"
)

// intents are what reactors wait for.
type intents struct {
	streams map[es.UUID]string
	keys    map[string]bool // of their streams
}

func (h *history) readIntents(ctx context.Context) error {
	if h.cfg.Pool == nil {
		return nil
	}
	rows, err := h.cfg.Pool.Query(ctx, `select intent::text, stream from daybook.reactor_waiting`)
	if err != nil {
		return fmt.Errorf("reading what reactors wait for: %w", err)
	}
	h.open = intents{map[es.UUID]string{}, map[string]bool{}}
	var name, stream string
	_, err = pgx.ForEachRow(rows, []any{&name, &stream}, func() error {
		id, err := es.ParseUUID(name)
		if err != nil {
			return err
		}
		h.open.streams[id], h.open.keys[es.AnyStreamID(stream).Key] = stream, true
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading what reactors wait for: %w", err)
	}
	return nil
}

// checkIntents holds the intents of a system at rest to the log. Which must be open only the domain knows: its checks are given them.
func (h *history) checkIntents() {
	h.attended = map[es.UUID]bool{}
	for _, id := range slices.SortedFunc(maps.Keys(h.open.streams), func(a, b es.UUID) int { return strings.Compare(a.String(), b.String()) }) {
		h.attended[id] = true
		if _, recorded := h.ids[id]; !recorded {
			h.out.Find(doctor.Finding{
				Invariant: "I6", Stream: h.open.streams[id], Row: "daybook.reactor_waiting " + id.String(),
				Problem: "a reactor attends to an intent that is not recorded",
			})
		}
	}
	h.out.Checked["open intents"] = len(h.open.streams)
}
