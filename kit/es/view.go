package es

import "context"

// HandleView is Handle, and shows the state as it was at the receipt's revision: after the command's own events and before
// those of any other. view is given the kernel's own state: it must not keep what that points to. It may be called more
// than once. A replay shows what the first answer showed.
func HandleView[S, V any, P State[S]](ctx context.Context, h *Handler, d Decision[S], call Call, view func(S) V) (Receipt, V, error) {
	w := window[S, V]{view: view}
	r, err := handle[S, P](ctx, h, streamOf[S, P](d), d, call, w.show)
	return seenBy[S, V, P](ctx, h, &w, r, err)
}

// HandlePreparedView is HandlePrepared with a view.
func HandlePreparedView[S, V any, P State[S]](ctx context.Context, h *Handler, key string, call Call,
	prepare func(context.Context) (Decision[S], error), view func(S) V,
) (Receipt, V, error) {
	w := window[S, V]{view: view}
	r, err := prepared[S, P](ctx, h, key, call, prepare, w.show)
	return seenBy[S, V, P](ctx, h, &w, r, err)
}

// window keeps what a view saw in the lane. It is read only after the lane has answered.
type window[S, V any] struct {
	view func(S) V
	seen *V
}

func (w *window[S, V]) show(s *S) {
	w.seen = nil
	if s != nil {
		v := w.view(*s)
		w.seen = &v
	}
}

// seenBy is what the lane showed, or the stream folded up to the receipt where it showed nothing: a replay's state has gone on.
func seenBy[S, V any, P State[S]](ctx context.Context, h *Handler, w *window[S, V], r Receipt, err error) (Receipt, V, error) {
	var none V
	if err != nil {
		return Receipt{}, none, err
	}
	if !r.Replayed && w.seen != nil {
		return r, *w.seen, nil
	}
	l, err := Load[S, P](ctx, h, r.Stream.Key, func(e Recorded) bool { return e.Revision > r.Revision })
	if err != nil {
		return Receipt{}, none, err
	}
	return r, w.view(l.State), nil
}
