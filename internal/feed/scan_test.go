package feed

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/es"
	"github.com/daybook-dev/daybook/internal/eventstore/memory"
)

// Who releases the pass is given nothing more of it: the pass does not wait any longer, so what it offers from then on may
// have holes, and a reader that took it would lose events.
func TestReleasedReaderGetsNoLaterChunk(t *testing.T) {
	t.Parallel()
	store := memory.New()
	const events = 8 * chunkEvents
	for i := range events {
		id := es.CommandID("test", "record", "k", strconv.Itoa(i))
		_, err := store.Append(t.Context(), es.StreamID{Category: "parcel", Key: "k"}, es.Expected(i)-1,
			[]es.Proposed{{ID: id, Type: "parcel.counted", Data: []byte(`{}`), Meta: []byte(`{"schema":1}`)}})
		if err != nil {
			t.Fatal(err)
		}
	}
	scan := NewScan(store, 1)
	for range 100 {
		chunks := 0
		err := scan.Read(t.Context(), 0, 0, events, func(_ []es.Record, release func()) bool {
			if chunks++; chunks == 2 {
				release()
				time.Sleep(time.Millisecond) // the pass goes on meanwhile
			}
			return true
		})
		if chunks != 2 || !errors.Is(err, errLeft) {
			t.Fatalf("released at its second chunk, and was given %d: %v", chunks, err)
		}
	}
}
