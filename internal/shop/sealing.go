package shop

import (
	"context"

	"github.com/daybook-dev/daybook/commands/order"
	"github.com/daybook-dev/daybook/kit/es"
)

// sealing seals the fields of one event; the first error is kept.
type sealing struct {
	ctx       context.Context //nolint:containedctx // lives as long as one command is prepared
	keys      es.Sealer
	subject   string
	stream    es.StreamID
	eventType string
	err       error
}

func (c *Commands) sealing(ctx context.Context, subject string, stream es.StreamID, eventType string) *sealing {
	return &sealing{ctx: ctx, keys: c.Keys, subject: subject, stream: stream, eventType: eventType}
}

// text seals a field, if there is one.
func (s *sealing) text(field string, plain *string) es.Sealed {
	if plain == nil || s.err != nil {
		return es.Sealed{}
	}
	var sealed es.Sealed
	sealed, s.err = s.keys.Seal(s.ctx, s.subject, s.stream, s.eventType, field, *plain)
	return sealed
}

// sealReason seals a free text under the key of the order's buyer.
func (c *Commands) sealReason(ctx context.Context, stream es.StreamID, eventType, reason string) (es.Sealed, error) {
	o, err := es.Load[order.Order](ctx, c.Handler, stream.Key, func(e es.Recorded) bool { return e.Revision > 0 })
	if err != nil || o.Revision == es.NoStream {
		return es.Sealed{}, err // the command refuses an unknown order
	}
	subject := "guest-" + stream.Key
	if id := o.State.Placed.Customer.ID; id != "" {
		subject = es.StreamID{Category: "customer", Key: id}.String()
	}
	return c.Keys.Seal(ctx, subject, stream, eventType, "reason", reason)
}
