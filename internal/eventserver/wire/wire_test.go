package wire

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/daybook-dev/daybook/internal/eventserver/store"
)

// The generated code's reading of a message, in the terms of ours.

func wantEvent(id *shared.UUID, props map[string]string, meta, data []byte) (Event, bool) {
	var e Event
	if id != nil {
		e.HasID = true
		var ok bool
		if e.ID, _, ok = wantID(id); !ok {
			return e, false
		}
	}
	e.Type, e.HasType = props["type"], has(props, "type")
	e.HasContentType = has(props, "content-type")
	e.JSON = props["content-type"] == "application/json"
	e.Meta, e.Data = meta, data
	return e, true
}

func has(m map[string]string, k string) bool { _, ok := m[k]; return ok }

func wantID(id *shared.UUID) (out store.ID, text, ok bool) {
	switch v := id.GetValue().(type) {
	case *shared.UUID_Structured_:
		binary.BigEndian.PutUint64(out[:8], uint64(v.Structured.GetMostSignificantBits()))
		binary.BigEndian.PutUint64(out[8:], uint64(v.Structured.GetLeastSignificantBits()))
	case *shared.UUID_String_:
		parsed, err := ParseUUID(v.String_)
		return parsed, true, err == nil
	}
	return out, false, true
}

func wantRevision(n uint64) store.Expected { return store.Expected(min(n, math.MaxInt64)) }

func wantAppend(m *streams.AppendReq) (AppendReq, bool) {
	out, ok := AppendReq{Expected: ExpectUnset}, true
	switch c := m.GetContent().(type) {
	case *streams.AppendReq_Options_:
		out.Options, out.Stream = true, string(c.Options.GetStreamIdentifier().GetStreamName())
		switch e := c.Options.GetExpectedStreamRevision().(type) {
		case *streams.AppendReq_Options_Revision:
			out.Expected = wantRevision(e.Revision)
		case *streams.AppendReq_Options_NoStream:
			out.Expected = store.ExpectNoStream
		case *streams.AppendReq_Options_Any:
			out.Expected = store.ExpectAny
		case *streams.AppendReq_Options_StreamExists:
			out.Expected = store.ExpectExists
		}
	case *streams.AppendReq_ProposedMessage_:
		out.Proposed = true
		p := c.ProposedMessage
		out.Event, ok = wantEvent(p.GetId(), p.GetMetadata(), p.GetCustomMetadata(), p.GetData())
	}
	return out, ok
}

func wantBatch(m *streams.BatchAppendReq) (BatchAppendReq, bool) {
	out := BatchAppendReq{Expected: ExpectUnset, Final: m.GetIsFinal()}
	if id := m.GetCorrelationId(); id != nil {
		var ok bool
		out.HasCorrelation = true
		if out.Correlation, out.TextUUID, ok = wantID(id); !ok {
			return out, false
		}
	}
	if o := m.GetOptions(); o != nil {
		out.Options, out.Stream = true, string(o.GetStreamIdentifier().GetStreamName())
		switch e := o.GetExpectedStreamPosition().(type) {
		case *streams.BatchAppendReq_Options_StreamPosition:
			out.Expected = wantRevision(e.StreamPosition)
		case *streams.BatchAppendReq_Options_NoStream:
			out.Expected = store.ExpectNoStream
		case *streams.BatchAppendReq_Options_Any:
			out.Expected = store.ExpectAny
		case *streams.BatchAppendReq_Options_StreamExists:
			out.Expected = store.ExpectExists
		}
		switch d := o.GetDeadlineOption().(type) {
		case *streams.BatchAppendReq_Options_Deadline:
			out.HasTimeout, out.Timeout = true, duration(d.Deadline.GetSeconds(), int64(d.Deadline.GetNanos()))
		case *streams.BatchAppendReq_Options_Deadline_21_10_0:
			out.Deadline = time.Unix(d.Deadline_21_10_0.GetSeconds(), int64(d.Deadline_21_10_0.GetNanos()))
		}
	}
	for _, p := range m.GetProposedMessages() {
		e, ok := wantEvent(p.GetId(), p.GetMetadata(), p.GetCustomMetadata(), p.GetData())
		if !ok {
			return out, false
		}
		out.Events = append(out.Events, e)
	}
	return out, true
}

func seeds() [][]byte {
	id := &shared.UUID{Value: &shared.UUID_Structured_{Structured: &shared.UUID_Structured{MostSignificantBits: -5, LeastSignificantBits: 7}}}
	text := &shared.UUID{Value: &shared.UUID_String_{String_: "6ba7b810-9dad-11d1-80b4-00c04fd430c8"}}
	stream := &shared.StreamIdentifier{StreamName: []byte("order-1")}
	props := map[string]string{"type": "order.placed", "content-type": "application/json", "else": "x"}
	var out [][]byte
	for _, m := range []proto.Message{
		&streams.AppendReq{Content: &streams.AppendReq_Options_{Options: &streams.AppendReq_Options{StreamIdentifier: stream,
			ExpectedStreamRevision: &streams.AppendReq_Options_Revision{Revision: 1 << 63}}}},
		&streams.AppendReq{Content: &streams.AppendReq_Options_{Options: &streams.AppendReq_Options{StreamIdentifier: stream,
			ExpectedStreamRevision: &streams.AppendReq_Options_NoStream{NoStream: &shared.Empty{}}}}},
		&streams.AppendReq{Content: &streams.AppendReq_ProposedMessage_{ProposedMessage: &streams.AppendReq_ProposedMessage{
			Id: id, Metadata: props, CustomMetadata: []byte("{}"), Data: []byte("data")}}},
		&streams.BatchAppendReq{CorrelationId: text, IsFinal: true, Options: &streams.BatchAppendReq_Options{StreamIdentifier: stream,
			ExpectedStreamPosition: &streams.BatchAppendReq_Options_Any{Any: &emptypb.Empty{}},
			DeadlineOption:         &streams.BatchAppendReq_Options_Deadline{Deadline: durationpb.New(-time.Second)}},
			ProposedMessages: []*streams.BatchAppendReq_ProposedMessage{{Id: text, Metadata: props}, {Id: id, Data: []byte{0}}}},
		&streams.BatchAppendReq{CorrelationId: id, Options: &streams.BatchAppendReq_Options{
			DeadlineOption:         &streams.BatchAppendReq_Options_Deadline_21_10_0{Deadline_21_10_0: timestamppb.New(time.Unix(1e9, 5))},
			ExpectedStreamPosition: &streams.BatchAppendReq_Options_StreamExists{StreamExists: &emptypb.Empty{}}}},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			panic(err)
		}
		out = append(out, b, b[:len(b)/2], append(bytes.Clone(b), b...))
	}
	return append(out, nil, []byte{0xff}, []byte{0x0b, 0x0c}, []byte{0x08, 0x01, 0x10, 0x02})
}

// FuzzDecode holds both decoders to the generated code: what that refuses they refuse, what it reads they read the same.
// Only a UUID that is none is refused by ours alone.
func FuzzDecode(f *testing.F) {
	for _, b := range seeds() {
		f.Add(b)
	}
	ours := cmpopts.IgnoreUnexported(AppendReq{}, BatchAppendReq{}, Event{})
	times := cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })
	f.Fuzz(func(t *testing.T, b []byte) {
		var a AppendReq
		err := a.Decode(bytes.Clone(b))
		var ga streams.AppendReq
		if gerr := proto.Unmarshal(b, &ga); gerr != nil {
			if err == nil {
				t.Errorf("AppendReq: accepted what the generated code refuses: %v", gerr)
			}
		} else if want, ok := wantAppend(&ga); (err == nil) != ok {
			t.Errorf("AppendReq: %v, want accepted %v", err, ok)
		} else if diff := cmp.Diff(want, a, cmpopts.EquateEmpty(), times, ours); ok && diff != "" {
			t.Errorf("AppendReq:\n%s", diff)
		}
		var m BatchAppendReq
		err = m.Decode(bytes.Clone(b))
		var gm streams.BatchAppendReq
		if gerr := proto.Unmarshal(b, &gm); gerr != nil {
			if err == nil {
				t.Errorf("BatchAppendReq: accepted what the generated code refuses: %v", gerr)
			}
		} else if want, ok := wantBatch(&gm); (err == nil) != ok {
			t.Errorf("BatchAppendReq: %v, want accepted %v", err, ok)
		} else if diff := cmp.Diff(want, m, cmpopts.EquateEmpty(), times, ours); ok && diff != "" {
			t.Errorf("BatchAppendReq:\n%s", diff)
		}
	})
}

func encode(t testing.TB, m Encoder) []byte {
	t.Helper()
	b := m.AppendTo(nil)
	if len(b) != m.Size() {
		t.Fatalf("%T: Size says %d, encoded are %d bytes", m, m.Size(), len(b))
	}
	return b
}

// FuzzEncodeEvent lets the generated code read what ours writes.
func FuzzEncodeEvent(f *testing.F) {
	f.Add("order-1", "order.placed", []byte("{}"), []byte("{}"), uint64(0), uint64(1), int64(17e16), []byte("0123456789abcdef"), true, false, true)
	f.Add("", "", []byte(nil), []byte(nil), uint64(math.MaxInt64), uint64(math.MaxUint64), int64(0), []byte{}, false, true, false)
	f.Fuzz(func(t *testing.T, stream, kind string, data, meta []byte, revision, position uint64, created int64, id []byte, json, text, linked bool) {
		r := &store.Record{Stream: []byte(stream), Type: bytes.ToValidUTF8([]byte(kind), nil), Data: data, Meta: meta,
			Revision: revision, Position: position, Created: created, JSON: json}
		copy(r.ID[:], id)
		content := "application/octet-stream"
		if json {
			content = "application/json"
		}
		want := &streams.ReadResp_ReadEvent_RecordedEvent{Id: uuidMessage(r.ID, text),
			StreamIdentifier: &shared.StreamIdentifier{StreamName: r.Stream}, StreamRevision: revision,
			PreparePosition: position, CommitPosition: position, Data: data, CustomMetadata: meta,
			Metadata: map[string]string{"type": string(r.Type), "content-type": content, "created": strconv.FormatInt(created, 10)}}
		m := &EventResp{Event: r, TextUUID: text, Retries: -1}
		event := &streams.ReadResp_ReadEvent{Event: want, Position: &streams.ReadResp_ReadEvent_CommitPosition{CommitPosition: position}}
		if linked {
			m.Link, event.Link = r, want
		}
		var got streams.ReadResp
		if err := proto.Unmarshal(encode(t, m), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&streams.ReadResp{Content: &streams.ReadResp_Event{Event: event}}, &got, protocmp.Transform()); diff != "" {
			t.Error(diff)
		}
		m.Retries = int32(revision & 0xffff)
		var p persistent.ReadResp
		if err := proto.Unmarshal(encode(t, m), &p); err != nil || p.GetEvent().GetRetryCount() != m.Retries ||
			p.GetEvent().GetEvent().GetStreamRevision() != revision {
			t.Errorf("persistent: %v %v", err, &p)
		}
	})
}

func uuidMessage(id store.ID, text bool) *shared.UUID {
	if text {
		return &shared.UUID{Value: &shared.UUID_String_{String_: UUIDText(id)}}
	}
	return &shared.UUID{Value: &shared.UUID_Structured_{Structured: &shared.UUID_Structured{
		MostSignificantBits: int64(binary.BigEndian.Uint64(id[:8])), LeastSignificantBits: int64(binary.BigEndian.Uint64(id[8:]))}}}
}

func FuzzEncodeBatchSuccess(f *testing.F) {
	f.Add("order-1", int64(3), int64(4), uint64(9), []byte("0123456789abcdef"), true)
	f.Add("", int64(-1), int64(-1), uint64(0), []byte(nil), false)
	f.Add("s", int64(-2), int64(-4), uint64(1), []byte{1}, false)
	f.Fuzz(func(t *testing.T, stream string, revision, expected int64, position uint64, id []byte, text bool) {
		if expected < 0 {
			expected = []int64{-1, -2, -4}[uint64(expected)%3]
		}
		m := &BatchSuccess{TextUUID: text, Stream: stream, Expected: store.Expected(expected), Revision: max(revision, -1), Position: position}
		copy(m.Correlation[:], id)
		want := &streams.BatchAppendResp{CorrelationId: uuidMessage(m.Correlation, text), StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(stream)}}
		ok := &streams.BatchAppendResp_Success{}
		if m.Revision < 0 {
			ok.CurrentRevisionOption = &streams.BatchAppendResp_Success_NoStream{NoStream: &emptypb.Empty{}}
		} else {
			ok.CurrentRevisionOption = &streams.BatchAppendResp_Success_CurrentRevision{CurrentRevision: uint64(m.Revision)}
		}
		if position == 0 {
			ok.PositionOption = &streams.BatchAppendResp_Success_NoPosition{NoPosition: &emptypb.Empty{}}
		} else {
			ok.PositionOption = &streams.BatchAppendResp_Success_Position{Position: &shared.AllStreamPosition{CommitPosition: position, PreparePosition: position}}
		}
		want.Result = &streams.BatchAppendResp_Success_{Success: ok}
		switch m.Expected {
		case store.ExpectNoStream:
			want.ExpectedStreamPosition = &streams.BatchAppendResp_NoStream{NoStream: &emptypb.Empty{}}
		case store.ExpectAny:
			want.ExpectedStreamPosition = &streams.BatchAppendResp_Any{Any: &emptypb.Empty{}}
		case store.ExpectExists:
			want.ExpectedStreamPosition = &streams.BatchAppendResp_StreamExists{StreamExists: &emptypb.Empty{}}
		default:
			want.ExpectedStreamPosition = &streams.BatchAppendResp_StreamPosition{StreamPosition: uint64(expected)}
		}
		var got streams.BatchAppendResp
		if err := proto.Unmarshal(encode(t, m), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, &got, protocmp.Transform()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestParseUUID(t *testing.T) {
	t.Parallel()
	for s, ok := range map[string]bool{"6ba7b810-9dad-11d1-80b4-00c04fd430c8": true, "6BA7B8109DAD11D180B400C04FD430C8": true,
		"": false, "6ba7b810": false, "6ba7b810-9dad-11d1-80b4-00c04fd430cg": false, "{6ba7b810-9dad-11d1-80b4-00c04fd430c8}": false} {
		if _, err := ParseUUID(s); (err == nil) != ok {
			t.Errorf("%q: %v", s, err)
		}
	}
	id, _ := ParseUUID("6BA7B8109DAD11D180B400C04FD430C8")
	if got := UUIDText(id); got != "6ba7b810-9dad-11d1-80b4-00c04fd430c8" {
		t.Error(got)
	}
}
