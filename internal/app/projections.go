package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/projections/customers"
	"github.com/daybook-dev/daybook/projections/orderdetails"
	"github.com/daybook-dev/daybook/projections/orderevents"
	"github.com/daybook-dev/daybook/projections/orderlist"
	"github.com/daybook-dev/daybook/projections/products"
	"github.com/daybook-dev/daybook/projections/sales"
	"github.com/daybook-dev/daybook/projections/salesbyproduct"
	"github.com/daybook-dev/daybook/projections/stocklevels"
)

// Projections is every read model: a new one is a folder and a line here.
func Projections() []projection.Projection {
	return []projection.Projection{
		customers.Projection, orderdetails.Projection, orderevents.Projection, orderlist.Projection,
		products.Projection, sales.Projection, salesbyproduct.Projection, stocklevels.Projection,
	}
}

func projectionNames() (names []string) {
	plans, _ := projection.Compile(Projections()...) // the worker reports what is wrong with them
	for _, p := range plans {
		if !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	return names
}

// Shows waits until every read model has reached a position.
func (s *System) Shows(ctx context.Context, position uint64) error {
	for _, p := range Projections() {
		plans, err := projection.Compile(p)
		if err != nil {
			return err
		}
		view, err := s.Reader.View(p)
		if err != nil {
			return err
		}
		if err := shows(ctx, view, position); err != nil {
			return fmt.Errorf("wait for the read model %s: %w", plans[0].Name, err)
		}
	}
	return nil
}

func shows(ctx context.Context, view projection.View, position uint64) error {
	for {
		ask := projection.Ask{MinPosition: position, Wait: 10 * time.Second}
		_, err := view.Read(ctx, ask, func(context.Context, projection.Snapshot) error { return nil })
		if err == nil || ctx.Err() != nil || !errors.Is(err, projection.ErrNotYet) && !errors.Is(err, projection.ErrRebuilding) {
			return err
		}
	}
}
