package eventserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/anishathalye/porcupine"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
	"github.com/daybook-dev/daybook/internal/testenv/ports"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

// attempt is an operation of the history under kills. What became of an append without an answer is read from the log in
// the end: either it never happened, or it happened at an unknown time.
type attempt struct {
	op     porcupine.Operation
	stream int
	id     uuid.UUID
}

// TestLinearizableUnderKills: appends and reads of 16 clients, while the server is killed and started again.
func TestLinearizableUnderKills(t *testing.T) {
	t.Parallel()
	const clients, streamCount = 16, 4
	kills := 2 * *linearRounds
	dir := t.TempDir()
	cmd, addr := child(t, dir, ports.Address(t))
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	clienttest.Must(t, err)
	defer conn.Close()
	c := streams.NewStreamsClient(conn)
	var done atomic.Bool
	var answered atomic.Int64
	progress := make(chan struct{}, 1)
	var mu sync.Mutex
	var history []attempt
	began := time.Now()
	var wg sync.WaitGroup
	for id := range clients {
		rng := rand.New(rand.NewPCG(uint64(id), uint64(began.UnixNano())))
		wg.Go(func() {
			guess := make([]int64, streamCount)
			for i := range guess {
				guess[i] = -1
			}
			for !done.Load() {
				a := attempt{stream: rng.IntN(streamCount), id: uuid.New()}
				op := operation{read: rng.IntN(4) == 0, at: guess[a.stream]}
				a.op = porcupine.Operation{ClientId: id, Input: op, Call: int64(time.Since(began))}
				res := performRaw(c, fmt.Sprintf("s-%d", a.stream), op, a.id)
				a.op.Output, a.op.Return = res, int64(time.Since(began))
				if !res.unknown {
					guess[a.stream] = res.last
					answered.Add(1)
					select {
					case progress <- struct{}{}:
					default:
					}
				}
				mu.Lock()
				history = append(history, a)
				mu.Unlock()
			}
		})
	}
	limit := time.After(time.Minute)
	for k := 0; ; k++ {
		for enough := int64(150 * (k + 1)); answered.Load() < enough; {
			select {
			case <-progress:
			case <-limit:
				t.Fatalf("%d operations answered, want %d", answered.Load(), enough)
			}
		}
		if k == kills {
			break
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		cmd, _ = child(t, dir, addr)
		conn.ResetConnectBackoff()
	}
	done.Store(true)
	wg.Wait()
	_ = cmd.Process.Kill()
	_ = cmd.Wait()

	s := start(t, func(cfg *eventserver.Config) { cfg.Dir = dir })
	written := map[uuid.UUID]int64{}
	for _, e := range clienttest.ReadAll(t, connect(t, s), esdb.ReadAllOptions{From: esdb.Start{}}, clienttest.Unlimited) {
		written[e.Event.EventID] = int64(e.Event.EventNumber)
	}
	histories := make([][]porcupine.Operation, streamCount)
	unknown := 0
	for i, a := range history {
		if a.op.Output.(outcome).unknown {
			revision, ok := written[a.id]
			if !ok {
				continue
			}
			unknown++
			a.op.Output, a.op.Return, a.op.ClientId = outcome{last: revision}, int64(time.Hour), clients+i
		}
		histories[a.stream] = append(histories[a.stream], a.op)
	}
	for st, h := range histories {
		if got := porcupine.CheckOperationsTimeout(oneStream.ToModel(), h, time.Minute); got != porcupine.Ok {
			t.Errorf("stream %d: %d operations: %s", st, len(h), got)
		}
	}
	t.Logf("%d operations over %d kills, %d of them without an answer that turned out to stand", len(history), kills, unknown)
}

// performRaw is perform without the official client, which gives up when its server is away for long.
func performRaw(c streams.StreamsClient, stream string, op operation, id uuid.UUID) outcome {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if !op.read {
		r, err := appendRaw(ctx, c, stream, op.at, id)
		switch {
		case err != nil:
			return outcome{unknown: true}
		case r.GetSuccess() != nil:
			return outcome{last: int64(r.GetSuccess().GetCurrentRevision())}
		case r.GetWrongExpectedVersion().GetCurrentNoStream() != nil:
			return outcome{wrong: true, last: -1}
		}
		return outcome{wrong: true, last: int64(r.GetWrongExpectedVersion().GetCurrentRevision())}
	}
	call, err := c.Read(ctx, &streams.ReadReq{Options: &streams.ReadReq_Options{
		StreamOption: &streams.ReadReq_Options_Stream{Stream: &streams.ReadReq_Options_StreamOptions{
			StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(stream)},
			RevisionOption:   &streams.ReadReq_Options_StreamOptions_End{End: &shared.Empty{}}}},
		ReadDirection: streams.ReadReq_Options_Backwards, CountOption: &streams.ReadReq_Options_Count{Count: 1},
		FilterOption: &streams.ReadReq_Options_NoFilter{NoFilter: &shared.Empty{}}}})
	if err != nil {
		return outcome{unknown: true}
	}
	m, err := call.Recv()
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return outcome{unknown: true}
	case m.GetEvent() == nil:
		return outcome{last: -1}
	}
	return outcome{last: int64(m.GetEvent().GetEvent().GetStreamRevision())}
}
