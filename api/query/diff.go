package query

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/daybook-dev/daybook/api"
	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/api/shown"
	"github.com/daybook-dev/daybook/internal/shop"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// DiffOrder serves GET /v1/orders/{id}/diff.
func (s *Server) DiffOrder(ctx context.Context, in openapi.DiffOrderRequestObject) (openapi.DiffOrderResponseObject, error) {
	from, err := momentOf("from", in.Params.From)
	if err != nil {
		return nil, err
	}
	var to query.Moment // the present
	if in.Params.To != nil {
		if to, err = momentOf("to", *in.Params.To); err != nil {
			return nil, err
		}
	}
	a, err := s.queries.OrderDiff(ctx, asked(ctx), in.Id, from, to)
	if err != nil {
		return nil, err
	}
	changes, err := changesOf(a.Shown)
	if err != nil {
		return nil, fmt.Errorf("compare order %s at two moments: %w", in.Id, err)
	}
	body := openapi.OrderDiff{
		Id: in.Id, From: momentShown(a.Shown.From, from), To: momentShown(a.Shown.To, to), Changes: changes,
		Personal: shown.Personal(withheld(a.Shown)), KnownAt: a.KnownAt, Position: api.Position(a.Position),
	}
	return openapi.DiffOrder200JSONResponse{Body: body, Headers: openapi.DiffOrder200ResponseHeaders{DaybookPosition: body.Position}}, nil
}

// momentOf reads a moment: a version is a whole number, and anything else a time.
func momentOf(name, text string) (query.Moment, error) {
	if n, err := strconv.ParseUint(text, 10, 63); err == nil {
		return query.Moment{Revision: &n}, nil
	}
	at, err := api.ParseMoment(name, text)
	return query.Moment{AsOf: at}, err
}

func momentShown(o shop.Order, asked query.Moment) openapi.OrderMoment {
	return openapi.OrderMoment{
		Revision: max(o.Revision, 0), Position: strconv.FormatInt(o.Position, 10), At: o.ValidFrom, RecordedAt: o.RecordedFrom, AsOf: asked.AsOf,
	}
}

// withheld is why something cannot be shown at either moment. A key that is missing may come back.
func withheld(d shop.Diff) shop.Withheld {
	if d.From.Withheld == shop.KeyMissing {
		return d.From.Withheld
	}
	if d.To.Withheld != "" {
		return d.To.Withheld
	}
	return d.From.Withheld
}

// changesOf compares the bodies of both orders, without what every answer says of itself.
func changesOf(d shop.Diff) ([]openapi.FieldChange, error) {
	var bodies [2]json.RawMessage
	for i, o := range []shop.Order{d.From, d.To} {
		body := shown.Order(o, 0)
		body.Revision = 0
		var err error
		if bodies[i], err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	changes, err := query.Changes(bodies[0], bodies[1])
	out := make([]openapi.FieldChange, len(changes))
	for i, c := range changes {
		out[i] = openapi.FieldChange{Pointer: c.Pointer, Before: c.Before, After: c.After}
	}
	return out, err
}
