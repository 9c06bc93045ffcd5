package kafkaread

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/daybook-dev/daybook/internal/kafkaread/kafkareadtest"
)

func ignore(int, Record) error { return nil }

func TestRecordsAreWalkedToTheirEnd(t *testing.T) {
	t.Parallel()
	good := kafkareadtest.Record(0, "k", "v", 1, kafkareadtest.Header{Key: "a", Value: "b"})
	for name, c := range map[string]struct {
		records []byte
		n       int
		refused bool
	}{
		"one":                {good, 1, false},
		"two":                {slices.Concat(good, good), 2, false},
		"without headers":    {kafkareadtest.Record(0, "", "", 0), 1, false},
		"none":               {nil, 0, false},
		"fewer than it says": {good, 2, true},
		"more than it says":  {slices.Concat(good, good), 1, true},
		"cut short":          {good[:len(good)-1], 1, true},
		"nothing":            {nil, 1, true},
	} {
		if err := Walk(c.records, c.n, ignore); (err != nil) != c.refused {
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
			b = kafkareadtest.Record(0, "key", "value", 2, kafkareadtest.Header{Key: "a", Value: "b"}, kafkareadtest.Header{Key: "c", Value: "d"})
			b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		_ = Walk(b, rapid.IntRange(1, 5).Draw(t, "records"), ignore)
	})
}
