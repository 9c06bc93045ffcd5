package shop

import (
	"context"
	"errors"

	"github.com/daybook-dev/daybook/kit/es"
)

// Text is a personal field. The zero value was not given.
type Text struct {
	Text string
	// Withheld: a value was given and cannot be opened.
	Withheld bool
}

// given is the Text of an input field; nil was not given.
func given(s *string) Text {
	if s == nil {
		return Text{}
	}
	return Text{Text: *s}
}

// Withheld is the reason why personal fields cannot be opened; "" if all can.
type Withheld string

// Reasons for withheld fields.
const (
	KeyMissing Withheld = "key_missing"
	Erased     Withheld = "erased"
)

// opening opens the sealed fields of one item and keeps the first error. An erased field, or one whose key is missing, is withheld.
type opening struct {
	ctx  context.Context //nolint:containedctx // lives as long as one answer is made
	keys es.Opener
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
	case errors.Is(err, es.ErrNoKey):
		o.why = KeyMissing
	case errors.Is(err, es.ErrErased):
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
