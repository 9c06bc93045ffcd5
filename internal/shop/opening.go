package shop

import (
	"context"
	"errors"

	"github.com/daybook-dev/daybook/internal/personal"
	"github.com/daybook-dev/daybook/kit/es"
)

// Opener opens sealed personal data (package personal).
type Opener interface {
	Unseal(ctx context.Context, s es.Sealed) (string, error)
}

// Text is a personal field. The zero Text was not given.
type Text struct {
	Text string
	// Withheld: something was given, and cannot be shown.
	Withheld bool
}

// given is a field as it was given; nil was not given.
func given(s *string) Text {
	if s == nil {
		return Text{}
	}
	return Text{Text: *s}
}

// Withheld is why fields of something cannot be shown; "" if all can.
type Withheld string

// Why personal fields are withheld.
const (
	KeyMissing Withheld = "key_missing"
	Erased     Withheld = "erased"
)

// opening opens the sealed fields of one item; the first error is kept. What has been erased, or whose key is missing, is withheld.
type opening struct {
	ctx  context.Context //nolint:containedctx // lives as long as one answer is made
	keys Opener
	why  Withheld
	err  error
}

func (q *Queries) opening(ctx context.Context) *opening { return &opening{ctx: ctx, keys: q.Keys} }

func (o *opening) text(sealed es.Sealed) Text {
	if sealed.IsZero() || o.err != nil {
		return Text{}
	}
	plain, err := o.keys.Unseal(o.ctx, sealed)
	switch {
	case errors.Is(err, personal.ErrNoKey):
		o.why = KeyMissing
	case errors.Is(err, personal.ErrErased):
		if o.why == "" {
			o.why = Erased
		}
	case err != nil:
		o.err = err
	default:
		return Text{Text: plain}
	}
	return Text{Withheld: true}
}
