package es_test

import (
	"crypto/sha1" //nolint:gosec // RFC 9562 §5.5 prescribes SHA-1 for version 5
	"encoding/json"
	"testing"

	"github.com/daybook-dev/daybook/kit/es"
)

// An id is derived from its parts as encoding/json writes them, whatever is in them: what was recorded under one must be found again.
func TestIdsAreDerivedFromJSON(t *testing.T) {
	t.Parallel()
	namespace := []byte{0xda, 0x7b, 0x00, 0x4b, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, 0}
	from := es.UUID{1, 2, 0xff}
	for _, parts := range [][]any{
		{}, {"", "order-1", 0, -7, 1 << 40}, {uint64(1<<64 - 1), es.Undo, from, es.UUID{}},
		{"a\"b", `a\b`, "<&>", "\x7f", "\n", "é", "\u2028", "\xff", "~ !"},
		{[]byte(nil), []byte{}, []byte("{}"), []byte("any carnal pleas\x00")}, {true, 1.5, nil, map[string]int{"a": 1}},
	} {
		text, err := json.Marshal(append([]any{"derived", from}, parts...))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha1.Sum(append(namespace, text...)) //nolint:gosec // see above
		var want es.UUID
		copy(want[:], sum[:])
		want[6], want[8] = want[6]&0x0f|0x50, want[8]&0x3f|0x80
		if got := es.DerivedID(from, parts...); got != want {
			t.Errorf("%q: %s, want %s", parts, got, want)
		}
	}
}
