package query

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/daybook-dev/daybook/api"
	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/projections/orderevents"
)

// GetOrderTimeline serves GET /v1/orders/{id}/timeline.
func (s *Server) GetOrderTimeline(ctx context.Context, in openapi.GetOrderTimelineRequestObject) (openapi.GetOrderTimelineResponseObject, error) {
	ask, err := asked(in.Params.MinPosition, in.Params.AsOf, in.Params.KnownAt)
	if err != nil {
		return nil, err
	}
	filter := "timeline/" + in.Id + momentKey(ask)
	keys, err := after(in.Params.Cursor, filter, 1)
	if err != nil {
		return nil, err
	}
	var from uint64
	if keys != nil {
		if from, err = strconv.ParseUint(keys[0], 10, 63); err != nil {
			return nil, api.NewProblem("bad_cursor", "the cursor is not one of this list")
		}
	}
	rows, more, answer, err := s.events.After(ctx, ask, in.Id, from, limitOf(in.Params.Limit))
	if err != nil {
		return nil, problemOf(err)
	}
	if len(rows) == 0 && from == 0 {
		return nil, notFound(ask, "order_not_found", "there is no order %s", in.Id)
	}
	page := openapi.TimelinePage{Items: make([]openapi.TimelineItem, len(rows)), Position: position(answer)}
	page.AsOf, page.KnownAt = times(answer)
	for i, r := range rows {
		page.Items[i] = openapi.TimelineItem{
			Position: strconv.FormatInt(r.Position, 10), Stream: r.Stream, Revision: r.StreamRevision, Type: r.Type, At: r.At, RecordedAt: r.RecordedAt,
			Actor: openapi.Actor{Kind: r.ActorKind, Id: r.ActorID}, Command: some(r.Command), CausationId: some(r.CausationID), Summary: r.Summary,
		}
		if r.Reason != nil {
			open := s.opening(ctx)
			page.Items[i].Reason, page.Items[i].Personal = open.text(*r.Reason), open.withheld()
			if open.err != nil {
				return nil, open.err
			}
		}
	}
	if more {
		page.Next = next(filter, strconv.FormatInt(rows[len(rows)-1].Position, 10))
	}
	return openapi.GetOrderTimeline200JSONResponse{Body: page, Headers: openapi.GetOrderTimeline200ResponseHeaders{
		DaybookPosition: page.Position, Link: link(ctx, page.Next),
	}}, nil
}

// StreamOrderEvents serves GET /v1/orders/{id}/events.
func (s *Server) StreamOrderEvents(ctx context.Context, in openapi.StreamOrderEventsRequestObject) (openapi.StreamOrderEventsResponseObject, error) {
	var from uint64
	if in.Params.LastEventID != nil {
		var err error
		if from, err = strconv.ParseUint(*in.Params.LastEventID, 10, 63); err != nil {
			return nil, api.NewProblem("malformed_parameter", "Last-Event-ID is not one of this stream").At("Last-Event-ID", "format", "is too large")
		}
	}
	q := s.events
	place, err := s.streams.open(in.Id, api.RequestOf(ctx).Client, from) // before the first look, so that nothing falls between
	if err != nil {
		return nil, err
	}
	cancel := func() { s.streams.close(place) }
	looking, done := context.WithTimeout(ctx, api.QueryWithin)
	defer done()
	rows, _, _, err := q.After(looking, projection.Ask{}, in.Id, from, streamPage)
	if err == nil && len(rows) == 0 {
		var first []orderevents.Item
		if first, _, _, err = q.After(looking, projection.Ask{}, in.Id, 0, 1); err == nil && len(first) == 0 {
			err = api.NewProblem("order_not_found", "there is no order %s", in.Id)
		}
	}
	if err != nil {
		cancel()
		return nil, problemOf(err)
	}
	if api.RequestOf(ctx).HeadOnly {
		cancel()
		return openapi.StreamOrderEvents200TexteventStreamResponse{Body: strings.NewReader("")}, nil
	}
	return &eventStream{ctx: ctx, server: s, order: in.Id, from: from, place: place}, nil
}

const (
	streamPage   = 100
	heartbeat    = 15 * time.Second
	writeTimeout = 10 * time.Second // a client that takes no more is cut off
)

// eventStream writes an order's events until the client goes, is too slow, or the server stops.
type eventStream struct {
	ctx    context.Context //nolint:containedctx // the request's
	server *Server
	order  string
	from   uint64
	place  *stream
}

// VisitStreamOrderEventsResponse writes the stream.
func (e *eventStream) VisitStreamOrderEventsResponse(w http.ResponseWriter) error {
	defer e.server.streams.close(e.place)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	out := http.NewResponseController(w)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	ask := true
	for {
		if ask {
			if err := e.write(w, out); err != nil {
				return e.ended(err)
			}
		}
		select {
		case <-e.ctx.Done():
			return nil
		case <-e.server.closing:
			return nil
		case <-beat.C:
			if err := send(w, out, ": still here\n\n"); err != nil {
				return e.ended(err)
			}
			ask = false
		case <-e.place.wake:
			ask = true
		}
	}
}

// write sends all events after the last one sent. A read model that is behind for a moment is asked again.
func (e *eventStream) write(w http.ResponseWriter, out *http.ResponseController) error {
	for {
		rows, more, err := e.server.streams.after(e.ctx, e.order, e.from)
		if errors.Is(err, projection.ErrRebuilding) {
			return nil
		}
		if err != nil {
			return err
		}
		var b []byte
		for _, r := range rows {
			position := strconv.FormatInt(r.Position, 10)
			data, err := json.Marshal(openapi.OrderEvent{
				Position: position, Stream: r.Stream, Revision: r.StreamRevision, Type: r.Type, At: r.At,
				Actor: openapi.Actor{Kind: r.ActorKind, Id: r.ActorID},
			})
			if err != nil {
				return fmt.Errorf("encode event %s: %w", position, err)
			}
			b = fmt.Appendf(b, "id: %s\nevent: %s\ndata: %s\n\n", position, r.Type, data)
			e.from = uint64(r.Position) //nolint:gosec // a position
		}
		e.server.streams.sent(e.place, e.from)
		if err := send(w, out, string(b)); err != nil || !more {
			return err
		}
	}
}

func send(w http.ResponseWriter, out *http.ResponseController, s string) error {
	return sendWithin(w, out, s, writeTimeout)
}

func sendWithin(w http.ResponseWriter, out *http.ResponseController, s string, within time.Duration) error {
	if err := out.SetWriteDeadline(time.Now().Add(within)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := w.Write([]byte(s)); err != nil {
		return err
	}
	return out.Flush()
}

// ended: the answer has begun, so an error can only end it; the client resumes with Last-Event-ID.
func (e *eventStream) ended(err error) error {
	if e.ctx.Err() == nil {
		e.server.Logger.Debug("event stream ended", "order", e.order, "error", err)
	}
	return nil
}
