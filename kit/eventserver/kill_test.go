package eventserver_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

var killRounds = flag.Int("kills", kills(), "times that a server under load is killed")

func kills() int {
	if os.Getenv("DAYBOOK_LONG") != "" {
		return 20
	}
	return 3
}

// TestMain is also the program of the server that the kill test kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv("EVENTSERVER_TEST_DIR"); dir != "" {
		s, err := eventserver.Start(context.Background(), eventserver.Config{Dir: dir, Listen: os.Getenv("EVENTSERVER_TEST_LISTEN")})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(s.Addr())
		<-s.Done()
		os.Exit(1)
	}
	flag.Parse()
	os.Exit(m.Run())
}

// child starts a server process and gives its address.
func child(t testing.TB, dir, listen string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "EVENTSERVER_TEST_DIR="+dir, "EVENTSERVER_TEST_LISTEN="+listen)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // if the test has not
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the server did not start: %v", err)
	}
	return cmd, strings.TrimSpace(line)
}

func proposal(id uuid.UUID) *streams.AppendReq {
	return &streams.AppendReq{Content: &streams.AppendReq_ProposedMessage_{ProposedMessage: &streams.AppendReq_ProposedMessage{
		Id: clienttest.Structured(id), Metadata: map[string]string{"type": "t", "content-type": "application/json"}, Data: []byte(`{}`)}}}
}

func appendRaw(ctx context.Context, c streams.StreamsClient, stream string, at int64, ids ...uuid.UUID) (*streams.AppendResp, error) {
	call, err := c.Append(ctx)
	if err != nil {
		return nil, err
	}
	o := &streams.AppendReq_Options{StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(stream)}}
	if at < 0 {
		o.ExpectedStreamRevision = &streams.AppendReq_Options_NoStream{NoStream: &shared.Empty{}}
	} else {
		o.ExpectedStreamRevision = &streams.AppendReq_Options_Revision{Revision: uint64(at)}
	}
	// What cannot be sent is named by the answer.
	_ = call.Send(&streams.AppendReq{Content: &streams.AppendReq_Options_{Options: o}})
	for _, id := range ids {
		_ = call.Send(proposal(id))
	}
	return call.CloseAndRecv()
}

// TestKill kills a server under 64 writers, each with its stream, and looks for what was acknowledged. What was under way
// is sent again with the same ids, as clients do, and must stand once.
func TestKill(t *testing.T) {
	t.Parallel()
	const writers = 64
	dir := t.TempDir()
	acked := make([][]uuid.UUID, writers)
	var open [writers][]uuid.UUID // sent, no answer
	total := 0
	for round := range *killRounds {
		cmd, addr := child(t, dir, "")
		conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		c := streams.NewStreamsClient(conn)
		var acks atomic.Int64
		killAt := int64(500 + rand.IntN(3000))
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for {
					ids := open[w]
					for ids == nil || len(ids) < 1+w%3 && open[w] == nil {
						ids = append(ids, uuid.New())
					}
					open[w] = ids
					r, err := appendRaw(clienttest.Within(t), c, fmt.Sprintf("s-%d", w), int64(len(acked[w]))-1, ids...)
					if err != nil {
						return
					}
					if r.GetSuccess().GetCurrentRevision() != uint64(len(acked[w])+len(ids)-1) || r.GetSuccess() == nil {
						t.Errorf("round %d: writer %d at %d: %v", round, w, len(acked[w]), r)
						return
					}
					acked[w], open[w] = append(acked[w], ids...), nil
					if acks.Add(1) == killAt {
						_ = cmd.Process.Kill()
					}
				}
			})
		}
		wg.Wait()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = conn.Close()
		if t.Failed() {
			return
		}
		total += int(acks.Load())
	}
	s := start(t, func(cfg *eventserver.Config) { cfg.Dir = dir })
	found := map[string][]uuid.UUID{}
	seen := map[uuid.UUID]bool{}
	position := uint64(0)
	for _, e := range clienttest.ReadAll(t, connect(t, s), esdb.ReadAllOptions{}, clienttest.Unlimited) {
		if seen[e.Event.EventID] || e.Event.Position.Commit <= position || e.Event.EventNumber != uint64(len(found[e.Event.StreamID])) {
			t.Fatalf("event %+v comes twice or out of order", e.Event)
		}
		seen[e.Event.EventID], position = true, e.Event.Position.Commit
		found[e.Event.StreamID] = append(found[e.Event.StreamID], e.Event.EventID)
	}
	for w := range writers {
		got, want := found[fmt.Sprintf("s-%d", w)], append(acked[w], open[w]...)
		if len(got) < len(acked[w]) || len(got) > len(want) {
			t.Fatalf("writer %d: %d events stand, %d were acknowledged, %d sent", w, len(got), len(acked[w]), len(want))
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("writer %d: event %d is another one", w, i)
			}
		}
	}
	t.Logf("%d appends acknowledged over %d kills", total, *killRounds)
}
