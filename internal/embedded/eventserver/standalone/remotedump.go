package standalone

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/daybook-dev/daybook/internal/embedded/eventserver"
	"github.com/daybook-dev/daybook/internal/embedded/eventserver/store"
)

// Dump implements Store, over EventStoreDB's protocol.
func (r *Remote) Dump(ctx context.Context, w io.Writer, o store.DumpOptions) (n uint64, err error) {
	out := bufio.NewWriterSize(w, 1<<20)
	var line []byte
	err = r.read(ctx, options(o), func(rec *store.Record) error {
		if rec.Position < o.From {
			return nil
		}
		var err error
		if line, err = store.AppendLine(line[:0], rec); err != nil {
			return err
		}
		if n++; o.Progress != nil && n%4096 == 0 {
			o.Progress(n)
		}
		_, err = out.Write(line)
		return err
	})
	if err = errors.Join(err, out.Flush()); err != nil {
		return n, fmt.Errorf("dump events: %w", err)
	}
	return n, nil
}

var errNoStream = errors.New("there is no stream")

// options asks for the log, or for a stream.
func options(o store.DumpOptions) *streams.ReadReq_Options {
	empty := &shared.Empty{}
	q := &streams.ReadReq_Options{
		ReadDirection: streams.ReadReq_Options_Forwards,
		CountOption:   &streams.ReadReq_Options_Count{Count: math.MaxUint64},
		FilterOption:  &streams.ReadReq_Options_NoFilter{NoFilter: empty},
		UuidOption:    &streams.ReadReq_Options_UUIDOption{Content: &streams.ReadReq_Options_UUIDOption_Structured{Structured: empty}},
	}
	switch {
	case o.Stream != "":
		q.StreamOption = &streams.ReadReq_Options_Stream{Stream: &streams.ReadReq_Options_StreamOptions{
			StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(o.Stream)},
			RevisionOption:   &streams.ReadReq_Options_StreamOptions_Start{Start: empty}}}
	case o.From == 0:
		q.StreamOption = &streams.ReadReq_Options_All{All: &streams.ReadReq_Options_AllOptions{
			AllOption: &streams.ReadReq_Options_AllOptions_Start{Start: empty}}}
	default:
		q.StreamOption = &streams.ReadReq_Options_All{All: &streams.ReadReq_Options_AllOptions{
			AllOption: &streams.ReadReq_Options_AllOptions_Position{Position: &streams.ReadReq_Options_Position{CommitPosition: o.From, PreparePosition: o.From}}}}
	}
	return q
}

func (r *Remote) read(ctx context.Context, o *streams.ReadReq_Options, visit func(*store.Record) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	st, err := streams.NewStreamsClient(r.conn).Read(ctx, &streams.ReadReq{Options: o})
	if err != nil {
		return told(err)
	}
	for {
		m, err := st.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return told(err)
		}
		switch c := m.GetContent().(type) {
		case *streams.ReadResp_StreamNotFound_:
			return fmt.Errorf("%w %q", errNoStream, c.StreamNotFound.GetStreamIdentifier().GetStreamName())
		case *streams.ReadResp_Event:
			rec, err := recordOf(c.Event.GetEvent())
			if err != nil {
				return err
			}
			if err := visit(rec); err != nil {
				return err
			}
		}
	}
}

func recordOf(e *streams.ReadResp_ReadEvent_RecordedEvent) (*store.Record, error) {
	m := e.GetMetadata()
	created, err := strconv.ParseInt(m["created"], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("position %d: created: %w", e.GetCommitPosition(), err)
	}
	r := &store.Record{Position: e.GetCommitPosition(), Revision: e.GetStreamRevision(), Created: created, JSON: m["content-type"] == "application/json",
		Stream: e.GetStreamIdentifier().GetStreamName(), Type: []byte(m["type"]), Data: e.GetData(), Meta: e.GetCustomMetadata()}
	switch id := e.GetId().GetValue().(type) {
	case *shared.UUID_Structured_:
		binary.BigEndian.PutUint64(r.ID[:], uint64(id.Structured.GetMostSignificantBits()))   //nolint:gosec // its bits
		binary.BigEndian.PutUint64(r.ID[8:], uint64(id.Structured.GetLeastSignificantBits())) //nolint:gosec // its bits
	case *shared.UUID_String_:
		parsed, err := uuid.Parse(id.String_)
		if err != nil {
			return nil, fmt.Errorf("position %d: id: %w", r.Position, err)
		}
		r.ID = store.ID(parsed)
	}
	return r, nil
}

// Scavenge implements Store, by the Operations service; a scavenge that runs already is waited for.
func (r *Remote) Scavenge(ctx context.Context) (got store.Scavenged, err error) {
	var answer scavengeResp
	if err := r.conn.Invoke(ctx, "/event_store.client.operations.Operations/StartScavenge", &eventserver.Frame{}, &answer); err != nil {
		return got, told(err)
	}
	stream := "$scavenges-" + answer.id
	for wait := time.NewTicker(100 * time.Millisecond); ; {
		done := false
		err := r.read(ctx, options(store.DumpOptions{Stream: stream}), func(rec *store.Record) error {
			if string(rec.Type) != "$scavengeCompleted" {
				return nil
			}
			done = true
			return outcome(rec.Data, &got)
		})
		if done || err != nil && !errors.Is(err, errNoStream) { // it is not begun yet
			wait.Stop()
			return got, err
		}
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return got, fmt.Errorf("scavenge %s goes on: %w", answer.id, ctx.Err())
		}
	}
}

func outcome(data []byte, got *store.Scavenged) error {
	var said struct {
		Result  string `json:"result"`
		Error   string `json:"error"`
		Streams uint64 `json:"streams"`
		Events  uint64 `json:"events"`
		Bytes   uint64 `json:"spaceSaved"`
	}
	if err := json.Unmarshal(data, &said); err != nil {
		return fmt.Errorf("read the scavenge's outcome: %w", err)
	}
	*got = store.Scavenged{Streams: said.Streams, Events: said.Events, Bytes: said.Bytes}
	if said.Result != "Success" {
		return fmt.Errorf("scavenge: %s %s", said.Result, said.Error)
	}
	return nil
}

// scavengeResp is the answer of the Operations service: the scavenge's id is its first field.
type scavengeResp struct{ id string }

// Decode implements wire.Decoder.
func (m *scavengeResp) Decode(b []byte) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("read a field: %w", protowire.ParseError(n))
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
			return fmt.Errorf("read a field: %w", protowire.ParseError(n))
		}
		if num == 1 && typ == protowire.BytesType {
			id, _ := protowire.ConsumeBytes(b)
			m.id = string(id)
		}
		b = b[n:]
	}
	return nil
}
