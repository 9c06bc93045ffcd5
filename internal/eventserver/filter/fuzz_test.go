package filter

import (
	"testing"
	"time"
)

// FuzzFilter: whatever a client asks to filter by, matching neither panics nor takes much longer than its limit.
func FuzzFilter(f *testing.F) {
	for _, regex := range []string{"", `^[^\$].*`, `^(?!(\$.+$|PersistentConfig\d+$|Result$))`, `(a+)+$`, `(?<=x)y`, `[`, `(?i)ORDER-\d+`, `\p{Lu}{1000}`} {
		f.Add(regex, "order-", []byte("order-1"), []byte("$metadata"), true)
	}
	f.Fuzz(func(t *testing.T, regex, prefix string, stream, eventType []byte, byType bool) {
		if len(stream) > 4<<10 || len(eventType) > 4<<10 {
			t.Skip("no such name is that long")
		}
		began := time.Now()
		for _, prefixes := range [][]string{nil, {prefix}} {
			got, err := New(byType, regex, prefixes)
			if err != nil {
				continue
			}
			_, _ = got.Match(stream, eventType) // that it takes too long is an error, too
		}
		if took := time.Since(began); took > 10*matchTimeout {
			t.Errorf("%q on %q takes %v", regex, stream, took)
		}
	})
}
