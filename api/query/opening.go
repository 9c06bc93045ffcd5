package query

import (
	"context"
	"errors"

	"github.com/daybook-dev/daybook/internal/es"
	"github.com/daybook-dev/daybook/internal/personal"
)

// opening opens the sealed fields of one answer; the first error stands. What has been erased is left out.
type opening struct {
	ctx  context.Context //nolint:containedctx // lives as long as one answer is made
	keys Opener
	err  error
}

func (s *Server) opening(ctx context.Context) *opening { return &opening{ctx: ctx, keys: s.Keys} }

func (o *opening) text(sealed es.Sealed) *string {
	if sealed.IsZero() || o.err != nil {
		return nil
	}
	plain, err := o.keys.Unseal(o.ctx, sealed)
	switch {
	case errors.Is(err, personal.ErrErased):
		return nil
	case err != nil:
		o.err = err
		return nil
	}
	return &plain
}
