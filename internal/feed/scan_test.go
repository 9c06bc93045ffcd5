package feed

import (
	"errors"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/es/memory"
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
		if chunks != 2 || !errors.Is(err, ErrLeft) {
			t.Fatalf("released at its second chunk, and was given %d: %v", chunks, err)
		}
	}
}

// A reader that is stuck holds up no other reader of its pass, and gets an error that says that it was left behind.
func TestStuckReaderIsLeftBehind(t *testing.T) {
	t.Parallel()
	store := memory.New()
	const events = 4 * chunkEvents
	for i := range events {
		id := es.CommandID("test", "record", "k", strconv.Itoa(i))
		_, err := store.Append(t.Context(), es.StreamID{Category: "parcel", Key: "k"}, es.Expected(i)-1,
			[]es.Proposed{{ID: id, Type: "parcel.counted", Data: []byte(`{}`), Meta: []byte(`{"schema":1}`)}})
		if err != nil {
			t.Fatal(err)
		}
	}
	scan := NewScan(store, 1)
	gone := &request{gone: make(chan struct{}), chunks: make(chan []es.Record, 1), leave: func() {}}
	close(gone.gone)
	scan.waiting = []*request{gone} // so that the pass is begun here, when both ask for it
	free, ended := make(chan struct{}), make(chan error, 2)
	go func() {
		ended <- scan.Read(t.Context(), 0, 0, events, func([]es.Record, func()) bool { <-free; return true })
	}()
	go func() {
		read := 0
		err := scan.Read(t.Context(), 0, 0, events, func(chunk []es.Record, _ func()) bool { read += len(chunk); return true })
		if err == nil && read != events {
			err = errors.New(strconv.Itoa(read) + " events read")
		}
		ended <- err
	}()
	for asked := 0; asked < 3; {
		scan.mu.Lock()
		asked = len(scan.waiting)
		scan.mu.Unlock()
		runtime.Gosched()
	}
	go scan.pass()
	if err := <-ended; err != nil {
		t.Errorf("the reader that is not stuck: %v", err)
	}
	close(free)
	if err := <-ended; !errors.Is(err, ErrLeft) {
		t.Errorf("the stuck reader: %v", err)
	}
}
