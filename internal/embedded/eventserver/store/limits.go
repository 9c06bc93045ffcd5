package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
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

// readLimits reads the object's own fields by their exact names, as encoding/json does not. The last one of a name counts.
func readLimits(data []byte) (l Limits, err error) {
	d := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return l, fmt.Errorf("it begins with %v: %w", t, errNoMetadata)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return l, err
		}
		var n int64
		switch name {
		case "$maxCount":
			n, err = integer(d)
			l.MaxCount = max(n, 0)
		case "$maxAge":
			n, err = integer(d)
			l.MaxAge = time.Duration(min(max(n, 0), longestAge)) * time.Second
		case "$tb":
			n, err = integer(d)
			l.TruncateBefore = max(n, 0)
		case "$cacheControl":
			_, err = integer(d)
		case "$tmp":
			err = boolean(d)
		default:
			err = d.Decode(new(json.RawMessage))
		}
		if err != nil {
			return l, fmt.Errorf("%v: %w", name, err)
		}
	}
	_, err = d.Token()
	return l, err
}

// longestAge is in seconds, and longer than any history.
const longestAge = math.MaxInt64 / int64(time.Second)

var errNoMetadata = errors.New("it is no metadata")

func integer(d *json.Decoder) (int64, error) {
	t, err := d.Token()
	if err != nil {
		return 0, err
	}
	n, ok := t.(json.Number)
	if !ok {
		return 0, errNoMetadata
	}
	return n.Int64()
}

func boolean(d *json.Decoder) error {
	t, err := d.Token()
	if _, ok := t.(bool); err == nil && !ok {
		err = errNoMetadata
	}
	return err
}
