package eventserver_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"
	"pgregory.net/rapid"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

// TestStreamsModel compares streams, over the wire, with a model that is a plain list: appends under every expectation and by both
// methods, with new ids and with ids sent before, whole or in part; metadata, deletes, tombstones, time that passes, scavenges and
// restarts. After each command all that can be read of the stream is read.
func TestStreamsModel(t *testing.T) {
	t.Parallel()
	w := &wireModel{t: t, dir: t.TempDir()}
	w.clock.Store(time.Now().Add(-24 * time.Hour).Truncate(time.Second).UnixNano())
	w.open()
	rapid.Check(t, func(rt *rapid.T) {
		w.streams, w.names = map[string]*modelStream{}, nil
		w.round++
		w.made = 0
		for _, kind := range []string{"a", "b"} {
			name := fmt.Sprintf("%s-%d", kind, w.round)
			w.names, w.streams[name] = append(w.names, name), newModelStream()
		}
		w.sent = []sent{{ids: []uuid.UUID{w.newID()}}}
		rt.Repeat(map[string]func(*rapid.T){
			"append":    w.append,
			"again":     w.append, // oftener than the others
			"metadata":  w.setMetadata,
			"delete":    w.delete,
			"tombstone": w.tombstone,
			"wait":      w.wait,
			"scavenge":  w.scavenge,
			"restart":   w.restart,
			"":          w.check,
		})
	})
}

// sent is an append that was tried.
type sent struct {
	stream string
	ids    []uuid.UUID
}

// wireModel is the model and the server beside it.
type wireModel struct {
	t       *testing.T
	dir     string
	clock   atomic.Int64
	server  *eventserver.Server
	conn    *grpc.ClientConn
	client  *esdb.Client
	streams map[string]*modelStream
	names   []string
	sent    []sent
	round   int
	made    int // ids of this round
}

// newID is one that reads well.
func (w *wireModel) newID() uuid.UUID {
	w.made++
	return uuid.MustParse(fmt.Sprintf("%08d-0000-4000-8000-%012d", w.round, w.made))
}

func (w *wireModel) now() time.Time { return time.Unix(0, w.clock.Load()) }

func (w *wireModel) open() {
	w.server = start(w.t, func(cfg *eventserver.Config) {
		cfg.Dir, cfg.Store.Now, cfg.Store.MemTableBytes = w.dir, w.now, 256<<10
	})
	w.client = connect(w.t, w.server)
	conn, err := grpc.NewClient(w.server.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	clienttest.Must(w.t, err)
	w.t.Cleanup(func() { _ = conn.Close() })
	w.conn = conn
}

func (w *wireModel) restart(rt *rapid.T) {
	if rapid.IntRange(0, 9).Draw(rt, "restart") > 0 {
		rt.Skip()
	}
	clienttest.Must(w.t, errors.Join(w.conn.Close(), w.client.Close(), w.server.Close()))
	w.open()
}

func (w *wireModel) wait(rt *rapid.T) {
	w.clock.Add(int64(time.Duration(rapid.IntRange(1, 30).Draw(rt, "seconds")) * time.Second))
}

func (w *wireModel) stream(rt *rapid.T) (string, *modelStream) {
	name := rapid.SampledFrom(w.names).Draw(rt, "stream")
	return name, w.streams[name]
}

func expectation(rt *rapid.T, s *modelStream) int64 {
	return rapid.OneOf(
		rapid.SampledFrom([]int64{noStream, anything, exists}),
		rapid.Just(s.last()),
		rapid.Int64Range(noStream, s.last()+1),
	).Draw(rt, "expected")
}

// ids draws those of an append: new ones, or of one tried before the whole, a part, or some and a new one.
func (w *wireModel) ids(rt *rapid.T, stream string) []uuid.UUID {
	fresh := make([]uuid.UUID, rapid.IntRange(1, 3).Draw(rt, "events"))
	for i := range fresh {
		fresh[i] = w.newID()
	}
	before := rapid.SampledFrom(w.sent).Draw(rt, "before")
	low := rapid.IntRange(0, len(before.ids)-1).Draw(rt, "low")
	high := rapid.IntRange(low+1, len(before.ids)).Draw(rt, "high")
	ids := rapid.SampledFrom([][]uuid.UUID{fresh, before.ids, before.ids, before.ids[low:high], append([]uuid.UUID{fresh[0]}, before.ids[low:high]...),
		append(append([]uuid.UUID{}, before.ids...), fresh[0])}).Draw(rt, "ids")
	w.sent = append(w.sent, sent{stream, ids})
	return ids
}

func (w *wireModel) append(rt *rapid.T) {
	name, s := w.stream(rt)
	ids, expected := w.ids(rt, name), expectation(rt, s)
	same(rt, fmt.Sprintf("append of %v to %s at %d", ids, name, expected), w.send(rt, name, expected, ids, "{}", true), s.append(expected, ids, nil, w.now()))
}

// setMetadata appends to the metadata stream, which is a stream like others; what is no JSON says nothing.
func (w *wireModel) setMetadata(rt *rapid.T) {
	name, s := w.stream(rt)
	ids, expected := w.ids(rt, "$$"+name)[:1], rapid.SampledFrom([]int64{anything, anything, s.meta.last(), noStream, exists}).Draw(rt, "expected")
	said := &limits{
		Before:   rapid.SampledFrom([]int64{0, 0, 1, s.last(), s.last() + 1, s.last() + 3, deletedMark}).Draw(rt, "$tb"),
		MaxCount: rapid.SampledFrom([]int64{0, 0, 1, 2, 4}).Draw(rt, "$maxCount"),
		MaxAge:   rapid.SampledFrom([]int64{0, 0, 10, 60}).Draw(rt, "$maxAge"),
	}
	said.Before = max(said.Before, 0)
	data, err := json.Marshal(said)
	clienttest.Must(w.t, err)
	isJSON := rapid.IntRange(0, 9).Draw(rt, "binary") > 0
	text := string(data)
	if !isJSON {
		said, text = nil, "\x00"
	}
	same(rt, fmt.Sprintf("append of %s, %v, to $$%s at %d", text, ids, name, expected), w.send(rt, "$$"+name, expected, ids, text, isJSON),
		s.meta.append(expected, ids, said, w.now()))
}

func (w *wireModel) delete(rt *rapid.T) {
	name, s := w.stream(rt)
	expected := expectation(rt, s)
	o := &streams.DeleteReq_Options{StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(name)}}
	switch expected {
	case anything:
		o.ExpectedStreamRevision = &streams.DeleteReq_Options_Any{}
	case noStream:
		o.ExpectedStreamRevision = &streams.DeleteReq_Options_NoStream{}
	case exists:
		o.ExpectedStreamRevision = &streams.DeleteReq_Options_StreamExists{}
	default:
		o.ExpectedStreamRevision = &streams.DeleteReq_Options_Revision{Revision: uint64(expected)}
	}
	var trailer metadata.MD
	_, err := streams.NewStreamsClient(w.conn).Delete(clienttest.Within(w.t), &streams.DeleteReq{Options: o}, grpc.Trailer(&trailer))
	got, want := w.refusal(rt, err, trailer), s.delete(expected, w.now())
	if want.fault == "" {
		got.revision = want.revision // the answer has none
	}
	same(rt, fmt.Sprintf("delete of %s at %d", name, expected), got, want)
}

func (w *wireModel) tombstone(rt *rapid.T) {
	if rapid.IntRange(0, 9).Draw(rt, "tombstone") > 0 {
		rt.Skip()
	}
	name, s := w.stream(rt)
	expected := expectation(rt, s)
	o := &streams.TombstoneReq_Options{StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(name)}}
	switch expected {
	case anything:
		o.ExpectedStreamRevision = &streams.TombstoneReq_Options_Any{}
	case noStream:
		o.ExpectedStreamRevision = &streams.TombstoneReq_Options_NoStream{}
	case exists:
		o.ExpectedStreamRevision = &streams.TombstoneReq_Options_StreamExists{}
	default:
		o.ExpectedStreamRevision = &streams.TombstoneReq_Options_Revision{Revision: uint64(expected)}
	}
	var trailer metadata.MD
	_, err := streams.NewStreamsClient(w.conn).Tombstone(clienttest.Within(w.t), &streams.TombstoneReq{Options: o}, grpc.Trailer(&trailer))
	got, want := w.refusal(rt, err, trailer), s.tombstone(expected)
	if want.fault == "" {
		got.revision = want.revision
	}
	same(rt, fmt.Sprintf("tombstone of %s at %d", name, expected), got, want)
}

func (w *wireModel) scavenge(rt *rapid.T) {
	if rapid.IntRange(0, 4).Draw(rt, "scavenge") > 0 {
		rt.Skip()
	}
	got, _, err := ask(clienttest.Within(w.t), w.t, w.server, nil, "operations.Operations/StartScavenge", nil)
	clienttest.Must(w.t, err)
	_, typ, n := protowire.ConsumeTag(got[0])
	if typ != protowire.BytesType {
		rt.Fatalf("a scavenge was answered %x", got[0])
	}
	id, _ := protowire.ConsumeString(got[0][n:])
	clienttest.Eventually(w.t, "the scavenge ends", func() bool {
		es, err := clienttest.Collect(w.client.ReadStream(clienttest.Within(w.t), "$scavenges-"+id, esdb.ReadStreamOptions{From: esdb.End{}, Direction: esdb.Backwards}, 1))
		return err == nil && es[0].Event.EventType == "$scavengeCompleted"
	})
	for _, s := range w.streams {
		s.scavenge(w.now())
	}
}

// send appends by one of the protocol's two methods.
func (w *wireModel) send(rt *rapid.T, stream string, expected int64, ids []uuid.UUID, data string, isJSON bool) answer {
	about := map[string]string{"type": "thing.happened", "content-type": "application/octet-stream"}
	if isJSON {
		about["content-type"] = "application/json"
	}
	if rapid.Bool().Draw(rt, "batch") {
		return w.sendBatch(rt, stream, expected, ids, data, about)
	}
	call, err := streams.NewStreamsClient(w.conn).Append(clienttest.Within(w.t))
	clienttest.Must(w.t, err)
	o := &streams.AppendReq_Options{StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(stream)}}
	switch expected {
	case anything:
		o.ExpectedStreamRevision = &streams.AppendReq_Options_Any{}
	case noStream:
		o.ExpectedStreamRevision = &streams.AppendReq_Options_NoStream{}
	case exists:
		o.ExpectedStreamRevision = &streams.AppendReq_Options_StreamExists{}
	default:
		o.ExpectedStreamRevision = &streams.AppendReq_Options_Revision{Revision: uint64(expected)}
	}
	clienttest.Must(w.t, call.Send(&streams.AppendReq{Content: &streams.AppendReq_Options_{Options: o}}))
	for _, id := range ids {
		clienttest.Must(w.t, call.Send(&streams.AppendReq{Content: &streams.AppendReq_ProposedMessage_{
			ProposedMessage: &streams.AppendReq_ProposedMessage{Id: clienttest.Text(id), Metadata: about, Data: []byte(data)}}}))
	}
	r, err := call.CloseAndRecv()
	if err != nil {
		return w.refusal(rt, err, call.Trailer())
	}
	if wrong := r.GetWrongExpectedVersion(); wrong != nil {
		if _, none := wrong.GetCurrentRevisionOption().(*streams.AppendResp_WrongExpectedVersion_CurrentNoStream); none {
			return answer{"wrong version", -1}
		}
		return answer{"wrong version", int64(wrong.GetCurrentRevision())}
	}
	return answer{revision: int64(r.GetSuccess().GetCurrentRevision())}
}

func (w *wireModel) sendBatch(rt *rapid.T, stream string, expected int64, ids []uuid.UUID, data string, about map[string]string) answer {
	ctx, cancel := context.WithCancel(clienttest.Within(w.t))
	defer cancel()
	call, err := streams.NewStreamsClient(w.conn).BatchAppend(ctx)
	clienttest.Must(w.t, err)
	o := clienttest.NoStream(stream)
	switch expected {
	case anything:
		o.ExpectedStreamPosition = &streams.BatchAppendReq_Options_Any{Any: &emptypb.Empty{}}
	case noStream:
	case exists:
		o.ExpectedStreamPosition = &streams.BatchAppendReq_Options_StreamExists{StreamExists: &emptypb.Empty{}}
	default:
		o.ExpectedStreamPosition = &streams.BatchAppendReq_Options_StreamPosition{StreamPosition: uint64(expected)}
	}
	req := &streams.BatchAppendReq{CorrelationId: clienttest.Text(uuid.New()), Options: o, IsFinal: true}
	for _, id := range ids {
		req.ProposedMessages = append(req.ProposedMessages, &streams.BatchAppendReq_ProposedMessage{Id: clienttest.Text(id), Metadata: about, Data: []byte(data)})
	}
	clienttest.Must(w.t, call.Send(req))
	r, err := call.Recv()
	clienttest.Must(w.t, err)
	switch clienttest.Detail(r) {
	case "":
		return answer{revision: int64(r.GetSuccess().GetCurrentRevision())}
	case "StreamDeleted":
		return answer{fault: "deleted"}
	case "WrongExpectedVersion":
		var wrong shared.WrongExpectedVersion
		clienttest.Must(w.t, r.GetError().GetDetails()[0].UnmarshalTo(&wrong))
		if wrong.GetCurrentNoStream() != nil {
			return answer{"wrong version", -1}
		}
		return answer{"wrong version", int64(wrong.GetCurrentStreamRevision())}
	}
	rt.Fatalf("batch append: %v", r)
	return answer{}
}

// refusal reads an error as clients do.
func (*wireModel) refusal(rt *rapid.T, err error, trailer metadata.MD) answer {
	if err == nil {
		return answer{}
	}
	if status.Code(err) == codes.FailedPrecondition && len(trailer.Get("exception")) == 1 {
		switch trailer.Get("exception")[0] {
		case "stream-deleted":
			return answer{fault: "deleted"}
		case "wrong-expected-version":
			var at int64
			if _, e := fmt.Sscan(strings.Join(trailer.Get("actual-version"), " "), &at); e == nil {
				return answer{"wrong version", at}
			}
		}
	}
	rt.Fatalf("refused: %v %v", err, trailer)
	return answer{}
}

func same(rt *rapid.T, what string, got, want answer) {
	rt.Helper()
	if got != want {
		rt.Fatalf("%s: answered %+v, want %+v", what, got, want)
	}
}

// check reads every stream, in both directions, and its metadata.
func (w *wireModel) check(rt *rapid.T) {
	for name, s := range w.streams {
		w.checkStream(rt, name, s)
		w.checkStream(rt, "$$"+name, s.meta)
	}
}

func (w *wireModel) checkStream(rt *rapid.T, name string, s *modelStream) {
	var want, forwards, backwards []string
	for i, e := range s.events {
		if s.shows(i, w.now()) {
			want = append(want, show(uint64(i), e.id))
		}
	}
	fault := ""
	switch {
	case s.ended():
		fault = "deleted"
	case len(s.events) == 0 || s.deleted():
		fault = "not found"
	}
	read := func(o esdb.ReadStreamOptions, add func(string)) {
		es, err := clienttest.Collect(w.client.ReadStream(clienttest.Within(w.t), name, o, clienttest.Unlimited))
		got := ""
		switch {
		case clienttest.Code(err) == esdb.ErrorCodeStreamDeleted:
			got = "deleted"
		case clienttest.Code(err) == esdb.ErrorCodeResourceNotFound:
			got = "not found"
		case err != nil:
			rt.Fatalf("read %s: %v", name, err)
		}
		if got != fault {
			rt.Fatalf("read of %s says %q, want %q", name, got, fault)
		}
		for _, e := range es {
			id := e.Event.EventID
			if int(e.Event.EventNumber) < len(s.events) && s.events[e.Event.EventNumber].id == uuid.Nil {
				id = uuid.Nil // the server's own
			}
			add(show(e.Event.EventNumber, id))
		}
	}
	read(esdb.ReadStreamOptions{}, func(e string) { forwards = append(forwards, e) })
	read(esdb.ReadStreamOptions{From: esdb.End{}, Direction: esdb.Backwards}, func(e string) { backwards = append([]string{e}, backwards...) })
	if diff := cmp.Diff(want, forwards); diff != "" {
		rt.Fatalf("%s, want and got:\n%s", name, diff)
	}
	if diff := cmp.Diff(want, backwards); diff != "" {
		rt.Fatalf("%s backwards, want and got:\n%s", name, diff)
	}
}

func show(revision uint64, id uuid.UUID) string { return fmt.Sprintf("%d %s", revision, id) }
