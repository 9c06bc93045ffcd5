package kafkaserver

import (
	"encoding/binary"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

type header struct{ key, value string }

// record encodes a record; headers is how many it says it has.
func record(key, value string, headers int, all ...header) []byte {
	text := func(b []byte, s string) []byte { return append(binary.AppendVarint(b, int64(len(s))), s...) }
	body := []byte{0}
	body = binary.AppendVarint(binary.AppendVarint(body, 0), 0)
	body = text(text(body, key), value)
	body = binary.AppendVarint(body, int64(headers))
	for _, h := range all {
		body = text(text(body, h.key), h.value)
	}
	return append(binary.AppendVarint(nil, int64(len(body))), body...)
}

func TestRecordsWhoseLengthsDoNotAddUpAreRefused(t *testing.T) {
	t.Parallel()
	good := record("k", "v", 1, header{"a", "b"})
	for name, c := range map[string]struct {
		records []byte
		n       int
		refused bool
	}{
		"one":                        {good, 1, false},
		"two":                        {slices.Concat(good, good), 2, false},
		"without headers":            {record("", "", 0), 1, false},
		"fewer than it says":         {good, 2, true},
		"more than it says":          {slices.Concat(good, good), 1, true},
		"cut short":                  {good[:len(good)-1], 1, true},
		"a billion headers":          {record("k", "v", 1<<30, header{"a", "b"}), 1, true},
		"less than no headers":       {record("k", "v", -1), 1, true},
		"a header that is left over": {record("k", "v", 0, header{"a", "b"}), 1, true},
		"a size of many gigabytes":   {binary.AppendVarint(nil, 1<<40), 1, true},
		"an endless number":          {slices.Repeat([]byte{0xff}, 20), 1, true},
		"nothing":                    {nil, 1, true},
	} {
		if err := plausibleRecords(c.records, c.n); (err != nil) != c.refused {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever the bytes, walking them ends, and never reads beyond them.
func TestAnyBytesAreWalked(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, 64).Draw(t, "bytes")
		if rapid.Bool().Draw(t, "from a record") {
			b = record("key", "value", 2, header{"a", "b"}, header{"c", "d"})
			b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		_ = plausibleRecords(b, rapid.IntRange(1, 5).Draw(t, "records"))
	})
}
