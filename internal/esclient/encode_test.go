package esclient

import (
	"encoding/binary"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"pgregory.net/rapid"

	"github.com/daybook-dev/daybook/kit/es"
)

func structured(u es.UUID) *shared.UUID {
	return &shared.UUID{Value: &shared.UUID_Structured_{Structured: &shared.UUID_Structured{
		MostSignificantBits:  int64(binary.BigEndian.Uint64(u[:8])),
		LeastSignificantBits: int64(binary.BigEndian.Uint64(u[8:])),
	}}}
}

func identifier(stream string) *shared.StreamIdentifier {
	return &shared.StreamIdentifier{StreamName: []byte(stream)}
}

var anyUUID = rapid.Custom(func(t *rapid.T) (u es.UUID) {
	copy(u[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
	return u
})

// What is written by hand reads as what the generated code writes.
func TestRequestsAreTheProtocols(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		epoch, sequence := rapid.Uint64().Draw(t, "epoch"), rapid.Uint64().Draw(t, "sequence")
		stream := rapid.StringN(1, 20, 200).Draw(t, "stream")
		at := es.Expected(rapid.Int64Range(-1, math.MaxInt64).Draw(t, "at"))
		left := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "left"))
		var events []es.Proposed
		for range rapid.IntRange(1, 5).Draw(t, "events") {
			events = append(events, es.Proposed{
				ID: anyUUID.Draw(t, "id"), Type: rapid.StringN(0, 20, 50).Draw(t, "type"),
				Data: make([]byte, rapid.IntRange(0, 200<<10).Draw(t, "data")), Meta: rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "meta"),
			})
		}
		got, c := &streams.BatchAppendReq{}, &call{stream: stream, at: at, sequence: sequence}
		if rapid.Bool().Draw(t, "used before") {
			c.encode([]es.Proposed{{Type: "before", Data: make([]byte, 1<<10)}})
			c.encoded(1, time.Second)
			c.bodies = c.bodies[:0]
		}
		c.encode(events)
		frames := c.encoded(epoch, left)
		for i, f := range frames {
			wire, err := codec{}.Marshal(f)
			if err != nil {
				t.Fatal(err)
			}
			var one streams.BatchAppendReq
			if err := proto.Unmarshal(wire.Materialize(), &one); err != nil {
				t.Fatalf("frame %d: %v", i, err)
			}
			if d := cmp.Diff(structured(correlation(epoch, sequence)), one.GetCorrelationId(), protocmp.Transform()); d != "" {
				t.Fatalf("correlation of frame %d:\n%s", i, d)
			}
			if (one.GetOptions() != nil) != (i == 0) || one.GetIsFinal() != (i == len(frames)-1) {
				t.Fatalf("frame %d of %d: options %v, final %v", i, len(frames), one.GetOptions(), one.GetIsFinal())
			}
			if size := len(f.body); size > maxFrame+(1<<10) {
				t.Fatalf("frame of %d bytes", size)
			}
			if i == 0 {
				got.Options = one.GetOptions()
			}
			got.ProposedMessages = append(got.ProposedMessages, one.GetProposedMessages()...)
		}
		want := &streams.BatchAppendReq{Options: &streams.BatchAppendReq_Options{
			StreamIdentifier: identifier(stream),
			DeadlineOption:   &streams.BatchAppendReq_Options_Deadline{Deadline: durationpb.New(left)},
		}}
		if at == es.NoStream {
			want.Options.ExpectedStreamPosition = &streams.BatchAppendReq_Options_NoStream{NoStream: &emptypb.Empty{}}
		} else {
			want.Options.ExpectedStreamPosition = &streams.BatchAppendReq_Options_StreamPosition{StreamPosition: uint64(at)}
		}
		for _, e := range events {
			want.ProposedMessages = append(want.ProposedMessages, &streams.BatchAppendReq_ProposedMessage{
				Id: structured(e.ID), Metadata: map[string]string{"type": e.Type, "content-type": "application/json"},
				CustomMetadata: e.Meta, Data: e.Data,
			})
		}
		if !proto.Equal(want, got) {
			t.Fatalf("(-want +got):\n%.3000s", cmp.Diff(want, got, protocmp.Transform()))
		}
	})
}

func detailed(t testing.TB, code codes.Code, message string, detail proto.Message) *streams.BatchAppendResp_Error {
	t.Helper()
	a, err := anypb.New(detail)
	if err != nil {
		t.Fatal(err)
	}
	return &streams.BatchAppendResp_Error{Error: &status.Status{Code: int32(code), Message: message, Details: []*anypb.Any{a}}}
}

func TestAnswersAreTheProtocols(t *testing.T) {
	id := correlation(7, math.MaxUint64)
	text := &shared.UUID{Value: &shared.UUID_String_{String_: id.String()}}
	for name, c := range map[string]struct {
		resp *streams.BatchAppendResp
		want answer
	}{
		"success": {&streams.BatchAppendResp{CorrelationId: structured(id), StreamIdentifier: identifier("s"),
			ExpectedStreamPosition: &streams.BatchAppendResp_StreamPosition{StreamPosition: 4},
			Result: &streams.BatchAppendResp_Success_{Success: &streams.BatchAppendResp_Success{
				CurrentRevisionOption: &streams.BatchAppendResp_Success_CurrentRevision{CurrentRevision: 5},
				PositionOption:        &streams.BatchAppendResp_Success_Position{Position: &shared.AllStreamPosition{CommitPosition: 1 << 60, PreparePosition: 3}},
			}}}, answer{success: true, position: 1 << 60}},
		"success without position, text id": {&streams.BatchAppendResp{CorrelationId: text,
			Result: &streams.BatchAppendResp_Success_{Success: &streams.BatchAppendResp_Success{
				CurrentRevisionOption: &streams.BatchAppendResp_Success_NoStream{NoStream: &emptypb.Empty{}},
				PositionOption:        &streams.BatchAppendResp_Success_NoPosition{NoPosition: &emptypb.Empty{}},
			}}}, answer{success: true}},
		"error": {&streams.BatchAppendResp{CorrelationId: structured(id), Result: detailed(t, codes.FailedPrecondition, "no", &shared.WrongExpectedVersion{})},
			answer{code: codes.FailedPrecondition, message: "no", detail: "WrongExpectedVersion"}},
	} {
		b, err := proto.Marshal(c.resp)
		if err != nil {
			t.Fatal(err)
		}
		c.want.epoch, c.want.sequence = 7, math.MaxUint64
		for _, data := range []mem.BufferSlice{{mem.SliceBuffer(b)}, {mem.SliceBuffer(b[:9]), mem.SliceBuffer(b[9:])}} {
			got := answer{epoch: 9, position: 9, detail: "of the one before"}
			if err := (codec{}).Unmarshal(data, &got); err != nil || got != c.want {
				t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
			}
		}
	}
}

// FuzzAnswer holds the hand-written decoder to the generated one, on whatever bytes.
func FuzzAnswer(f *testing.F) {
	seed := func(m proto.Message) {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	seed(&streams.BatchAppendResp{CorrelationId: structured(es.UUID{1, 2}), Result: &streams.BatchAppendResp_Success_{Success: &streams.BatchAppendResp_Success{
		PositionOption: &streams.BatchAppendResp_Success_Position{Position: &shared.AllStreamPosition{CommitPosition: 300}}}}})
	seed(&streams.BatchAppendResp{CorrelationId: structured(es.UUID{1, 2}), Result: detailed(f, codes.Unavailable, "é", &shared.Timeout{})})
	seed(&streams.BatchAppendResp{CorrelationId: &shared.UUID{Value: &shared.UUID_String_{String_: es.UUID{3}.String()}}})
	f.Fuzz(func(t *testing.T, b []byte) {
		var resp streams.BatchAppendResp
		if proto.Unmarshal(b, &resp) != nil {
			_ = (&answer{}).decode(b) // must only not panic
			return
		}
		var a answer
		if err := a.decode(b); err != nil {
			if s, ok := resp.GetCorrelationId().GetValue().(*shared.UUID_String_); ok {
				if _, bad := es.ParseUUID(s.String_); bad != nil {
					return // no id of ours
				}
			}
			t.Fatalf("%x: %v", b, err)
		}
		if s := resp.GetCorrelationId().GetStructured(); s != nil && (uint64(s.GetMostSignificantBits()) != a.epoch || uint64(s.GetLeastSignificantBits()) != a.sequence) {
			t.Fatalf("%x: %d, %d, generated %v", b, a.epoch, a.sequence, s)
		}
		if _, one := resp.GetResult().(*streams.BatchAppendResp_Success_); a.success != one {
			t.Fatalf("%x: success %v, result %v", b, a.success, resp.GetResult())
		}
	})
}

// FuzzEvent likewise.
func FuzzEvent(f *testing.F) {
	b, err := proto.Marshal(&streams.ReadResp{Content: &streams.ReadResp_Event{Event: &streams.ReadResp_ReadEvent{
		Event: &streams.ReadResp_ReadEvent_RecordedEvent{
			Id: structured(es.UUID{1, 255, 8: 200, 15: 7}), StreamIdentifier: identifier("order-O~2E"), StreamRevision: 300, PreparePosition: 1, CommitPosition: 1 << 50,
			Metadata: map[string]string{"type": "order.placed", "content-type": "application/json", "created": "17000000001234567"}, CustomMetadata: []byte("{}"), Data: []byte(`{"a":1}`),
		}, Position: &streams.ReadResp_ReadEvent_CommitPosition{CommitPosition: 9}}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var resp streams.ReadResp
		got := *newEvent()
		if proto.Unmarshal(b, &resp) != nil {
			_ = got.decode(b) // must only not panic
			return
		}
		if err := got.decode(b); err != nil {
			return // an id or a time that is none
		}
		e := resp.GetEvent().GetEvent()
		if e == nil || !got.given {
			return
		}
		r := got.record
		if r.Revision != e.GetStreamRevision() || r.Position != e.GetCommitPosition() || r.Type != e.GetMetadata()["type"] || string(r.Data) != string(e.GetData()) ||
			string(r.Meta) != string(e.GetCustomMetadata()) || r.Stream.String() != string(e.GetStreamIdentifier().GetStreamName()) {
			t.Fatalf("%x: %+v, generated %v", b, r, e)
		}
		if s := e.GetId().GetStructured(); s != nil && (uint64(s.GetMostSignificantBits()) != binary.BigEndian.Uint64(r.ID[:8]) || uint64(s.GetLeastSignificantBits()) != binary.BigEndian.Uint64(r.ID[8:])) {
			t.Fatalf("%x: id %v, generated %v", b, r.ID, s)
		}
		if ticks, err := strconv.ParseInt(e.GetMetadata()["created"], 10, 64); err == nil && !r.Created.Equal(time.UnixMicro(ticks/10)) {
			t.Fatalf("%x: created %v, generated %d", b, r.Created, ticks)
		}
	})
}
