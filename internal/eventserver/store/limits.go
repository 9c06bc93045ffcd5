package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Limits are the parts of a stream's metadata that decide which of its events are shown.
type Limits struct {
	MaxCount       int64         // 0: no limit
	MaxAge         time.Duration // 0: no limit
	TruncateBefore int64         // events below are hidden; MaxInt64: the stream is deleted until written again
}

// parseLimits reads a metadata event; one that is not JSON or cannot be understood limits nothing, as in EventStoreDB.
func parseLimits(isJSON bool, data []byte) Limits {
	if isJSON {
		if l, err := readLimits(data); err == nil {
			return l
		}
	}
	return Limits{}
}

// readLimits reads the fields by their exact names, as encoding/json does not. The last one of a name counts.
func readLimits(data []byte) (l Limits, err error) {
	err = MetadataFields(data, func(name string, value json.RawMessage) (err error) {
		var n int64
		switch name {
		case "$maxCount":
			n, err = integer(value)
			l.MaxCount = max(n, 0)
		case "$maxAge":
			n, err = integer(value)
			l.MaxAge = time.Duration(min(max(n, 0), longestAge)) * time.Second
		case "$tb":
			n, err = integer(value)
			l.TruncateBefore = max(n, 0)
		case "$cacheControl":
			_, err = integer(value)
		case "$tmp":
			if string(value) != "true" && string(value) != "false" {
				err = errNoMetadata
			}
		}
		return err
	})
	return l, err
}

// MetadataFields visits an object's own fields, with their exact names, as EventStoreDB reads metadata and settings: behind a byte
// order mark, if there is one, and whatever comes after the object. An error says that it is no object, or not whole.
func MetadataFields(data []byte, visit func(name string, value json.RawMessage) error) error {
	d := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("it begins with %v: %w", t, errNoMetadata)
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		name, ok := t.(string)
		if !ok {
			return fmt.Errorf("%v is no name: %w", t, errNoMetadata)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return fmt.Errorf("%.100q: %w", name, err)
		}
		if err := visit(name, value); err != nil {
			return fmt.Errorf("%.100q: %w", name, err)
		}
	}
	_, err := d.Token()
	return err
}

// longestAge is in seconds, and longer than any history.
const longestAge = math.MaxInt64 / int64(time.Second)

var errNoMetadata = errors.New("it is no metadata")

func integer(value json.RawMessage) (int64, error) {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return 0, errNoMetadata
	}
	return n, nil
}
