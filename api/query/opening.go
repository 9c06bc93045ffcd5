package query

import (
	"context"
	"errors"

	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/internal/personal"
	"github.com/daybook-dev/daybook/kit/es"
)

// opening opens the sealed fields of one item; the first error stands. What has been erased, or whose key is missing, is
// withheld.
type opening struct {
	ctx  context.Context //nolint:containedctx // lives as long as one answer is made
	keys Opener
	why  openapi.Personal // fields are withheld; empty: none
	err  error
}

func (s *Server) opening(ctx context.Context) *opening { return &opening{ctx: ctx, keys: s.Keys} }

func (o *opening) text(sealed es.Sealed) openapi.PersonalText {
	if sealed.IsZero() || o.err != nil {
		return openapi.PersonalText{}
	}
	plain, err := o.keys.Unseal(o.ctx, sealed)
	switch {
	case errors.Is(err, personal.ErrNoKey):
		o.why = openapi.KeyMissing
	case errors.Is(err, personal.ErrErased):
		if o.why == "" {
			o.why = openapi.Erased
		}
	case err != nil:
		o.err = err
	default:
		return openapi.PersonalText{Text: plain}
	}
	return openapi.PersonalText{Withheld: true}
}

// withheld says why fields are null, nil if none is.
func (o *opening) withheld() *openapi.Personal {
	if o.why == "" {
		return nil
	}
	return &o.why
}
