package query

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/daybook-dev/daybook/api"
	"github.com/daybook-dev/daybook/api/openapi"
	"github.com/daybook-dev/daybook/api/shown"
	"github.com/daybook-dev/daybook/internal/shop"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// GetOrderTimeline serves GET /v1/orders/{id}/timeline.
func (s *Server) GetOrderTimeline(ctx context.Context, in openapi.GetOrderTimelineRequestObject) (openapi.GetOrderTimelineResponseObject, error) {
	l, err := s.queries.Timeline(ctx, asked(ctx), in.Id, pageOf(ctx))
	if err != nil {
		return nil, err
	}
	body, h := listed(ctx, l, timelineItem)
	return openapi.GetOrderTimeline200JSONResponse{Body: openapi.TimelinePage(body), Headers: openapi.GetOrderTimeline200ResponseHeaders(h)}, nil
}

func timelineItem(i shop.TimelineItem) openapi.TimelineItem {
	return openapi.TimelineItem{
		Position: strconv.FormatInt(i.Position, 10), Stream: i.Stream, Revision: i.StreamRevision, Type: i.Type, At: i.At, RecordedAt: i.RecordedAt,
		Actor: openapi.Actor{Kind: i.ActorKind, Id: i.ActorID}, Command: shown.Some(i.Command), CausationId: shown.Some(i.CausationID), Summary: i.Summary,
		Reason: shown.Text(i.Said), Personal: shown.Personal(i.Withheld),
	}
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
	r := api.RequestOf(ctx)
	watch, err := s.queries.Watch(in.Id, r.Client, from)
	if err != nil {
		return nil, err
	}
	if err := watch.Exists(ctx); err != nil {
		watch.Close()
		return nil, err
	}
	if r.HeadOnly {
		watch.Close()
		return openapi.StreamOrderEvents200TexteventStreamResponse{Body: strings.NewReader("")}, nil
	}
	return &eventStream{ctx: ctx, watch: watch, order: in.Id, log: s.log}, nil
}

const (
	heartbeat    = 15 * time.Second
	writeTimeout = 10 * time.Second // a client that takes no more is cut off
)

// eventStream writes an order's events until the client goes, is too slow, or the server stops.
type eventStream struct {
	ctx   context.Context //nolint:containedctx // the request's
	watch *shop.Watch
	order string
	log   *slog.Logger
}

// VisitStreamOrderEventsResponse writes the stream.
func (e *eventStream) VisitStreamOrderEventsResponse(w http.ResponseWriter) error {
	defer e.watch.Close()
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
		case <-e.watch.Closing():
			return nil
		case <-beat.C:
			if err := send(w, out, ": still here\n\n"); err != nil {
				return e.ended(err)
			}
			ask = false
		case <-e.watch.Woken():
			ask = true
		}
	}
}

// write sends all events after the last one sent. A read model that is behind for a moment is asked again.
func (e *eventStream) write(w http.ResponseWriter, out *http.ResponseController) error {
	for {
		rows, more, err := e.watch.Next(e.ctx)
		if errors.Is(err, query.ErrRebuilding) {
			return nil
		}
		if err != nil {
			return err
		}
		var b []byte
		var last uint64
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
			last = uint64(r.Position) //nolint:gosec // a position
		}
		if len(rows) > 0 {
			e.watch.Sent(last)
		}
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
		e.log.Debug("event stream ended", "order", e.order, "error", err)
	}
	return nil
}
