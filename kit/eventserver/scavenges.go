package eventserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"github.com/daybook-dev/daybook/internal/eventserver/store"
)

// scavenges runs the scavenges that are asked for over the network, one at a time. Each leaves its begin and its outcome in the
// stream "$scavenges-ID", and "$scavenges" links to them, as EventStoreDB has it.
type scavenges struct {
	s *Server

	mu     sync.Mutex
	id     string // of the one that runs, "" if none does
	cancel context.CancelFunc
	ended  chan struct{}
	closed bool
}

const currentScavenge = "current"

// start begins a scavenge, or names the one that runs.
func (c *scavenges) start() (id string, started bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return "", false, store.ErrClosed
	case c.id != "":
		return c.id, false, nil
	}
	ctx, cancel := context.WithCancel(c.s.ctx)
	c.id, c.cancel, c.ended = uuid.NewString(), cancel, make(chan struct{})
	go c.run(ctx, c.id, c.ended)
	return c.id, true, nil
}

// stop breaks off the scavenge of that id, or the one that runs; what it has done stays done.
func (c *scavenges) stop(ctx context.Context, id string) (string, error) {
	c.mu.Lock()
	if c.id == "" || id != c.id && id != currentScavenge {
		c.mu.Unlock()
		return "", &failure{codes.NotFound, "Scavenge id was invalid.", []string{trailerException, "scavenge-not-found", "scavenge-id", id}}
	}
	id, ended := c.id, c.ended
	c.cancel()
	c.mu.Unlock()
	select {
	case <-ended:
		return id, nil
	case <-ctx.Done():
		return "", gone(ctx)
	}
}

// close lets no more begin and waits for the one that runs.
func (c *scavenges) close() {
	c.mu.Lock()
	c.closed = true
	ended := c.ended
	if c.cancel != nil {
		c.cancel()
	}
	c.mu.Unlock()
	if ended != nil {
		<-ended
	}
}

func (c *scavenges) run(ctx context.Context, id string, ended chan struct{}) {
	defer func() {
		c.mu.Lock()
		c.id = ""
		c.cancel()
		c.mu.Unlock()
		close(ended)
	}()
	log := c.s.cfg.Logger.With("scavenge", id)
	log.Info("scavenge started")
	began := time.Now()
	report := map[string]any{"scavengeId": id, "nodeEndpoint": c.s.Addr()}
	if err := c.note(id, "$scavengeStarted", report); err != nil {
		log.Warn("the begin of a scavenge was not noted", "error", err)
	}
	got, err := c.s.Scavenge(ctx)
	report["result"], report["error"] = "Success", ""
	switch {
	case errors.Is(err, context.Canceled):
		report["result"] = "Stopped"
	case err != nil:
		report["result"], report["error"] = "Errored", err.Error()
	}
	took := time.Since(began)
	report["timeTaken"], report["spaceSaved"] = took.String(), got.Bytes
	report["streams"], report["events"] = got.Streams, got.Events
	log.Info("scavenge ended", "result", report["result"], "error", err, "took", took, "streams", got.Streams, "events", got.Events, "bytes", got.Bytes)
	if err := c.note(id, "$scavengeCompleted", report); err != nil && !errors.Is(err, store.ErrClosed) {
		log.Warn("the outcome of a scavenge was not noted", "error", err)
	}
}

// note writes an event of a scavenge, and a link to it. It waits for the outcome, for as long as the store takes.
func (c *scavenges) note(id, kind string, what map[string]any) error {
	data, err := json.Marshal(what)
	if err != nil {
		return fmt.Errorf("note a scavenge: %w", err)
	}
	stream := "$scavenges-" + id
	res := c.s.store.Do(store.Request{Stream: stream, Expected: store.ExpectAny,
		Events: []store.Event{{ID: store.ID(uuid.New()), Type: kind, JSON: true, Data: data}}})
	if res.Err != nil {
		return fmt.Errorf("note a scavenge: %w", res.Err)
	}
	res = c.s.store.Do(store.Request{Stream: "$scavenges", Expected: store.ExpectAny,
		Events: []store.Event{{ID: store.ID(uuid.New()), Type: linkType, Data: fmt.Appendf(nil, "%d@%s", res.Revision, stream)}}})
	if res.Err != nil {
		return fmt.Errorf("note a scavenge: %w", res.Err)
	}
	return nil
}
