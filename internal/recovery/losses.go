package recovery

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-dev/daybook/internal/topic"
)

// Lost is what Postgres or Kafka still know of an order and the event store does not have any more.
type Lost struct {
	Order  string   `json:"order"`
	Placed bool     `json:"placed"` // the order itself is lost, not only what came after
	Number string   `json:"number,omitempty"`
	Events []string `json:"events"` // types, in the order of the log
}

func (l Lost) String() string {
	what := "lacks its last events"
	if l.Placed {
		what = "is lost"
	}
	return fmt.Sprintf("order %s %s: %s", l.Order, what, strings.Join(l.Events, ", "))
}

// Losses are what the store lacks of what was acknowledged, as far as Postgres and Kafka still tell.
type Losses struct {
	Orders []Lost `json:"orders"`
	Others int    `json:"other_events"` // of products, stock, customers
	Number uint64 `json:"number"`       // the greatest number of an order that is known
}

// FindLosses looks for events after the last one that the store has in common with Postgres and Kafka.
func FindLosses(ctx context.Context, cfg Config, p *Plan) (*Losses, error) {
	cfg.defaults()
	known := map[uint64]event{}
	if err := fromReadModels(ctx, cfg, p.Kept, known); err != nil {
		return nil, fmt.Errorf("looking for what the event store has lost: %w", err)
	}
	if err := fromTopic(ctx, cfg, p.Kept, known); err != nil {
		return nil, fmt.Errorf("looking for what the event store has lost: %w", err)
	}
	l := &Losses{}
	orders := map[string]*Lost{}
	for _, at := range slices.Sorted(maps.Keys(known)) {
		e := known[at]
		if e.order == "" {
			l.Others++
			continue
		}
		o := orders[e.order]
		if o == nil {
			o = &Lost{Order: e.order}
			orders[e.order] = o
		}
		o.Events = append(o.Events, e.what)
		o.Placed = o.Placed || e.what == placed
		if e.number != "" {
			o.Number = e.number
		}
	}
	for _, key := range slices.Sorted(maps.Keys(orders)) {
		l.Orders = append(l.Orders, *orders[key])
	}
	var err error
	l.Number, err = greatestNumber(ctx, cfg, l.Orders)
	return l, err
}

const placed = "order.placed"

type event struct{ order, what, number string }

// fromReadModels reads the timelines.
func fromReadModels(ctx context.Context, cfg Config, after uint64, into map[uint64]event) error {
	return eachBuild(ctx, cfg, "order_events", func(table string) error {
		rows, err := cfg.Pool.Query(ctx, `select position, key, type from `+table+` where position > $1`, int64(after)) //nolint:gosec // below 2^63
		if err != nil {
			return err
		}
		var at int64
		var e event
		_, err = pgx.ForEachRow(rows, []any{&at, &e.order, &e.what}, func() error {
			into[uint64(at)] = e //nolint:gosec // a position
			return nil
		})
		return err
	})
}

// fromTopic reads everything that Kafka still holds.
func fromTopic(ctx context.Context, cfg Config, after uint64, into map[uint64]event) error {
	var mu sync.Mutex
	var n int
	return cfg.eachPartition(ctx, func(s span) error {
		return s.read(ctx, s.first, func(m topic.Message) {
			r := m.Record
			if r.Position <= after {
				return
			}
			e := event{what: r.Type}
			switch r.Stream.Category {
			case "order":
				e.order = r.Stream.Key
				if r.Type == placed {
					var said struct {
						Number string `json:"number"`
					}
					if json.Unmarshal(r.Data, &said) == nil {
						e.number = said.Number
					}
				}
			case "payment":
				e.order = r.Stream.Key
			case "product", "stock", "customer":
			default:
				return // of the engines
			}
			mu.Lock()
			defer mu.Unlock()
			into[r.Position] = e
		})
	}, &n)
}

// greatestNumber is of all orders that anybody knows.
func greatestNumber(ctx context.Context, cfg Config, lost []Lost) (most uint64, err error) {
	note := func(number string) {
		if n, err := strconv.ParseUint(number, 10, 53); err == nil {
			most = max(most, n)
		}
	}
	for _, l := range lost {
		note(l.Number)
	}
	err = eachBuild(ctx, cfg, "order_list", func(table string) error {
		var number *string
		err := cfg.Pool.QueryRow(ctx, `select max(number::numeric)::text from `+table+` where number ~ '^[0-9]{1,15}$'`).Scan(&number)
		if err == nil && number != nil {
			note(*number)
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("looking for the numbers of orders: %w", err)
	}
	return most, nil
}

// eachBuild calls do with the table of every build of a read model.
func eachBuild(ctx context.Context, cfg Config, name string, do func(table string) error) error {
	rows, err := cfg.Pool.Query(ctx, `select schema_name from daybook.projection_build where projection = $1 and to_regclass(format('%I.%I', schema_name, projection)) is not null`, name)
	if err != nil {
		return err
	}
	schemas, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, s := range schemas {
		if err := do(pgx.Identifier{s, name}.Sanitize()); err != nil {
			return err
		}
	}
	return nil
}
