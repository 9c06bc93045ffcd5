package standalone

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/uuid"

	"github.com/daybook-dev/daybook/internal/eventserver/store"
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
		return readable(err)
	}
	for {
		m, err := st.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return readable(err)
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
