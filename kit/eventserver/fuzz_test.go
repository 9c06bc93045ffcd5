package eventserver_test

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/daybook-dev/daybook/internal/eventserver/store"
	"github.com/daybook-dev/daybook/internal/testenv/output"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

// FuzzCalls: whatever two messages a client sends to a method, the server neither panics nor hangs.
func FuzzCalls(f *testing.F) {
	var methods []string
	all := templates()
	for method := range all {
		methods = append(methods, method)
	}
	slices.Sort(methods)
	for i, method := range methods {
		var messages [2][]byte
		for j, m := range all[method] {
			b, err := proto.Marshal(m)
			if err != nil {
				f.Fatal(err)
			}
			messages[min(j, 1)] = b
		}
		f.Add(uint8(i), messages[0], messages[1]) //nolint:gosec // there are not so many
	}
	log := &output.Buffer{}
	s, err := eventserver.Start(f.Context(), eventserver.Config{
		Dir: "data", Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelError})),
		MaxAppendBytes: 64 << 10, Store: store.Config{FS: vfs.NewMem(), MemTableBytes: 1 << 20, CacheBytes: 1 << 20},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	conn, err := grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return s.Dial(ctx) }))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = conn.Close() })
	f.Fuzz(func(t *testing.T, method uint8, first, second []byte) {
		if len(first)+len(second) > 64<<10 {
			t.Skip("larger than what is interesting")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		name := "/" + methods[int(method)%len(methods)]
		st, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, name)
		if err != nil {
			t.Fatal(err)
		}
		_ = st.SendMsg(first)
		if len(second) > 0 {
			_ = st.SendMsg(second)
		}
		_ = st.CloseSend()
		ended := make(chan error, 1)
		go func() {
			for {
				if err := st.RecvMsg(nil); err != nil {
					ended <- err
					return
				}
			}
		}()
		select {
		case <-ended:
		case <-time.After(10 * time.Millisecond): // a subscription, which ends when it is left
			cancel()
			select {
			case <-ended:
			case <-time.After(time.Minute):
				t.Fatalf("%s hangs", name)
			}
		}
		if text := log.String(); strings.Contains(text, "panicked") {
			t.Fatal(text[:min(len(text), 4000)])
		}
	})
}
