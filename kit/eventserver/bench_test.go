package eventserver_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
)

// BenchmarkBatchAppend: writers that each wait for their append, over one BatchAppend stream of a plain client
// (the generated code's encoding), 300 B data and 300 B metadata, own streams, revision checked, synced.
func BenchmarkBatchAppend(b *testing.B) {
	for _, memory := range []bool{false, true} {
		for _, writers := range []int{1, 16, 64, 256} {
			name := fmt.Sprintf("tcp/%d", writers)
			if memory {
				name = fmt.Sprintf("memory/%d", writers)
			}
			b.Run(name, func(b *testing.B) { benchBatch(b, memory, writers) })
		}
	}
}

func benchBatch(b *testing.B, memory bool, writers int) {
	s := start(b)
	opts := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	if memory {
		opts = append(opts, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return s.Dial(ctx) }))
	}
	conn, err := grpc.NewClient("passthrough:///"+s.Addr(), opts...)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	call, err := streams.NewStreamsClient(conn).BatchAppend(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	waiting := make([]chan *streams.BatchAppendResp, writers)
	for i := range waiting {
		waiting[i] = make(chan *streams.BatchAppendResp, 1)
	}
	go func() {
		for {
			r, err := call.Recv()
			if err != nil {
				return
			}
			waiting[r.GetCorrelationId().GetStructured().GetLeastSignificantBits()] <- r
		}
	}()
	payload := make([]byte, 300)
	var mu sync.Mutex
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	b.ResetTimer()
	for w := range writers {
		wg.Go(func() {
			for n := uint64(0); left.Add(-1) >= 0; n++ {
				o := &streams.BatchAppendReq_Options{StreamIdentifier: &shared.StreamIdentifier{StreamName: fmt.Appendf(nil, "s-%d", w)},
					ExpectedStreamPosition: &streams.BatchAppendReq_Options_NoStream{NoStream: &emptypb.Empty{}}}
				if n > 0 {
					o.ExpectedStreamPosition = &streams.BatchAppendReq_Options_StreamPosition{StreamPosition: n - 1}
				}
				p := &streams.BatchAppendReq_ProposedMessage{Id: clienttest.Structured(uuid.New()), Data: payload, CustomMetadata: payload,
					Metadata: map[string]string{"type": "thing.happened", "content-type": "application/json"}}
				req := &streams.BatchAppendReq{IsFinal: true, Options: o, ProposedMessages: []*streams.BatchAppendReq_ProposedMessage{p},
					CorrelationId: &shared.UUID{Value: &shared.UUID_Structured_{Structured: &shared.UUID_Structured{LeastSignificantBits: int64(w)}}}}
				mu.Lock()
				err := call.Send(req)
				mu.Unlock()
				if err != nil {
					b.Error(err)
					return
				}
				if r := <-waiting[w]; r.GetSuccess() == nil {
					b.Error(r)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkReadAll reads the log through the official client's generated code.
func BenchmarkReadAll(b *testing.B) {
	s := start(b)
	c := connect(b, s)
	const n = 50_000
	for i := 0; i < n; i += 500 {
		clienttest.Append(b, c, fmt.Sprintf("s-%d", i), esdb.NoStream{}, clienttest.Events(500)...)
	}
	b.ResetTimer()
	for range b.N {
		if got := len(clienttest.ReadAll(b, c, esdb.ReadAllOptions{}, clienttest.Unlimited)); got != n+1 {
			b.Fatal(got)
		}
	}
	b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "events/s")
}
