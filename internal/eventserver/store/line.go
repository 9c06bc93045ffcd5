package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Line is one event of a dump: a JSON object on a line of its own. JSON data and metadata stand in it as they are stored, byte
// for byte; other bytes in base64, and so do names that are not UTF-8.
//
//	{"position":7,"stream":"order-1","revision":0,"id":"6ba7b810-9dad-11d1-80b4-00c04fd430c8","type":"order.placed",
//	 "created":17320896000000000,"json":true,"data":{"total":"12.50"},"meta":{"user":"ann"}}
//
// (broken in two here). Only stream, revision, id, type and created are needed; json says that the content type is
// application/json, and not application/octet-stream.
type Line struct {
	Position    uint64          `json:"position,omitempty"`
	Stream      string          `json:"stream,omitempty"`
	StreamBytes []byte          `json:"stream_bytes,omitempty"` // instead of stream
	Revision    uint64          `json:"revision"`               // TombstoneRevision ends the stream
	ID          uuid.UUID       `json:"id"`
	Type        string          `json:"type,omitempty"`
	TypeBytes   []byte          `json:"type_bytes,omitempty"` // instead of type
	Created     int64           `json:"created"`              // ticks of 100 ns since 1970
	JSON        bool            `json:"json,omitempty"`
	Data        json.RawMessage `json:"data,omitempty"`
	Bytes       []byte          `json:"bytes,omitempty"` // instead of data
	Meta        json.RawMessage `json:"meta,omitempty"`
	MetaBytes   []byte          `json:"meta_bytes,omitempty"` // instead of meta
}

// AppendLine writes an event behind dst as a dump has it, the line's end included.
func AppendLine(dst []byte, r *Record) ([]byte, error) {
	l := Line{Position: r.Position, Revision: r.Revision, ID: uuid.UUID(r.ID), Created: r.Created, JSON: r.JSON}
	l.Stream, l.StreamBytes = name(r.Stream)
	l.Type, l.TypeBytes = name(r.Type)
	l.Data, l.Bytes = verbatim(r.Data)
	l.Meta, l.MetaBytes = verbatim(r.Meta)
	b, err := json.Marshal(&l)
	if err != nil {
		return dst, fmt.Errorf("write position %d as a line: %w", r.Position, err)
	}
	return append(append(dst, b...), '\n'), nil
}

func name(b []byte) (text string, other []byte) {
	if utf8.Valid(b) {
		return string(b), nil
	}
	return "", b
}

// verbatim gives bytes as JSON if a reader of the line will get the very same bytes back.
func verbatim(b []byte) (raw json.RawMessage, other []byte) {
	if len(b) == 0 {
		return nil, nil
	}
	if json.Valid(b) && utf8.Valid(b) {
		if again, err := json.Marshal(json.RawMessage(b)); err == nil && bytes.Equal(again, b) {
			return b, nil
		}
	}
	return nil, b
}

// parseLine reads a line. What it does not know it refuses: a misspelt field would be a loss.
func parseLine(text []byte) (*Line, error) {
	l := &Line{}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(l); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("the JSON object is cut short")
		}
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON object")
	}
	if len(l.StreamBytes) > 0 && l.Stream == "" {
		l.Stream = string(l.StreamBytes)
	}
	if len(l.TypeBytes) > 0 && l.Type == "" {
		l.Type = string(l.TypeBytes)
	}
	if len(l.Bytes) > 0 && len(l.Data) > 0 || len(l.MetaBytes) > 0 && len(l.Meta) > 0 {
		return nil, errors.New("data or metadata is given twice")
	}
	if len(l.Bytes) == 0 {
		l.Bytes = l.Data
	}
	if len(l.MetaBytes) == 0 {
		l.MetaBytes = l.Meta
	}
	return l, l.check()
}

func (l *Line) check() error {
	if err := validStream(l.Stream); err != nil {
		return err
	}
	switch {
	case l.ID == uuid.Nil:
		return errors.New("the event has no id")
	case l.Type == "":
		return errors.New("the event has no type")
	case l.Revision > TombstoneRevision:
		return fmt.Errorf("revision %d is beyond every stream's end", l.Revision)
	case l.Created <= 0:
		return errors.New("created is not a time: ticks of 100 ns since 1970")
	}
	return nil
}

func (l *Line) event() Event {
	return Event{ID: ID(l.ID), Type: l.Type, JSON: l.JSON, Data: l.Bytes, Meta: l.MetaBytes}
}

// same tells whether the store's event is the line's.
func (l *Line) same(r *Record) bool {
	return r.ID == ID(l.ID) && string(r.Type) == l.Type && r.JSON == l.JSON && bytes.Equal(r.Data, l.Bytes) && bytes.Equal(r.Meta, l.MetaBytes)
}

// system tells whether the event belongs to a server and not to those who use it; metadata belongs to its stream.
func (l *Line) system() bool {
	stream := l.Stream
	if described, ok := metadataOf(stream); ok {
		stream = described
	}
	return strings.HasPrefix(stream, "$")
}
