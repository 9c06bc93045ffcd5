package esclient

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
)

// event reads one ReadResp after another by hand, as answer does: the generated code takes five times as long,
// and a rebuild reads everything.
type event struct {
	given    bool // the message was an event
	record   es.Record
	looked   uint64 // or it says that the server has looked as far as this
	caughtUp bool   // or that there is no more to give now

	types   map[string]string // seen, so that each is one string
	streams map[string]es.StreamID
}

func newEvent() *event { return &event{types: map[string]string{}, streams: map[string]es.StreamID{}} }

const mostSeen = 4096 // names kept

// stream gives a stream's id; many events in a row are of few streams.
func (e *event) stream(name []byte) es.StreamID {
	id, ok := e.streams[string(name)]
	if !ok {
		if len(e.streams) >= mostSeen {
			clear(e.streams)
		}
		own := string(name)
		id = es.AnyStreamID(own)
		e.streams[own] = id
	}
	return id
}

func (e *event) decode(b []byte) error {
	e.given, e.record, e.looked, e.caughtUp = false, es.Record{}, 0, false
	return fields(b, "event", func(f uint64, v []byte, _ uint64) error {
		switch f {
		case 1<<3 | asBytes:
		case 3<<3 | asBytes:
			return fields(v, "checkpoint", func(f uint64, _ []byte, n uint64) error {
				if f == 1<<3|asVarint {
					e.looked = n
				}
				return nil
			})
		case 8<<3 | asBytes:
			e.caughtUp = true
			return nil
		default:
			return nil // a sign that is not needed here
		}
		return fields(v, "event", func(f uint64, v []byte, _ uint64) error {
			if f != 1<<3|asBytes {
				return nil // links are not resolved
			}
			e.given = true
			return e.decodeRecorded(v)
		})
	})
}

func (e *event) decodeRecorded(b []byte) error {
	r := &e.record
	var data, meta []byte
	var created int64
	var id wireID
	err := fields(b, "event", func(f uint64, v []byte, n uint64) (err error) {
		switch f {
		case 1<<3 | asBytes:
			err = id.decode(v)
		case 2<<3 | asBytes:
			err = fields(v, "stream", func(f uint64, v []byte, _ uint64) error {
				if f == identifierName<<3|asBytes {
					r.Stream = e.stream(v)
				}
				return nil
			})
		case 3<<3 | asVarint:
			r.Revision = n
		case 5<<3 | asVarint:
			r.Position = n
		case 6<<3 | asBytes:
			err = e.decodeEntry(v, &created)
		case 7<<3 | asBytes:
			meta = v
		case 8<<3 | asBytes:
			data = v
		}
		return err
	})
	if err == nil {
		r.ID, err = id.value()
	}
	if err != nil {
		return err
	}
	r.Created = es.Micro(time.UnixMicro(created / 10))
	kept := make([]byte, len(data)+len(meta)) // the message's bytes are used again
	copy(kept[copy(kept, data):], meta)
	r.Data, r.Meta = kept[:len(data):len(data)], kept[len(data):]
	return nil
}

// decodeEntry reads what the server says of an event in its own metadata.
func (e *event) decodeEntry(b []byte, created *int64) error {
	var key, value []byte
	err := fields(b, "metadata", func(f uint64, v []byte, _ uint64) error {
		switch f {
		case 1<<3 | asBytes:
			key = v
		case 2<<3 | asBytes:
			value = v
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case bytes.Equal(key, []byte("type")):
		typ, ok := e.types[string(value)]
		if !ok {
			if len(e.types) >= mostSeen {
				clear(e.types)
			}
			typ = string(value)
			e.types[typ] = typ
		}
		e.record.Type = typ
	case bytes.Equal(key, []byte("created")): // ticks of 100 ns since 1970
		if *created, err = strconv.ParseInt(string(value), 10, 64); err != nil {
			return fmt.Errorf("event created at %q: %w", value, err)
		}
	}
	return nil
}
