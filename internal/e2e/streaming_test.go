package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/testenv"
)

// stream is an order's events as a browser reads them.
type stream struct {
	order  string
	events chan event
	ended  chan struct{}
	broken error // why reading ended, once it has; nil: the server ended the stream
	close  func()
}

type event struct {
	id, name, comment string
	data              map[string]any
	at                time.Time
}

// open reads an order's events from after an event on.
func (s *shop) open(t *testing.T, order, after string) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.API+"/v1/orders/"+order+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	if after != "" {
		req.Header.Set("Last-Event-ID", after)
	}
	res, err := (&http.Client{Transport: s.spec}).Do(req) //nolint:bodyclose // read does
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" || res.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	out := &stream{order: order, events: make(chan event, 1000), ended: make(chan struct{}), close: cancel}
	t.Cleanup(cancel)
	go out.read(res.Body)
	return out
}

func (s *stream) read(body io.ReadCloser) {
	defer close(s.ended)
	defer func() { _ = body.Close() }()
	var e event
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			if json.Unmarshal([]byte(value), &e.data) != nil {
				e.data = map[string]any{"unreadable": value}
			}
		case "":
			if value != "" {
				e.comment = value
				continue
			}
			e.at = time.Now()
			s.events <- e
			e = event{}
		}
	}
	s.broken = lines.Err()
}

// next is the next event or comment.
func (s *stream) next(t *testing.T) event {
	t.Helper()
	select {
	case e := <-s.events:
		return e
	case <-s.ended:
		select {
		case e := <-s.events:
			return e
		default:
		}
		t.Fatalf("the stream of %s ended", s.order)
	case <-time.After(60 * time.Second):
		t.Fatalf("nothing came of %s", s.order)
	}
	return event{}
}

// until reads up to an event of a type.
func (s *stream) until(t *testing.T, name string) (all []event) {
	t.Helper()
	for {
		e := s.next(t)
		if e.comment == "" {
			all = append(all, e)
		}
		if e.name == name {
			return all
		}
	}
}

func names(all []event) (out []string) {
	for _, e := range all {
		out = append(out, e.name)
	}
	return out
}

var whole = []string{"order.placed", "payment.initiated", "payment.authorisation_requested", "payment.authorised", "order.confirmed"}

func TestStreaming(t *testing.T) {
	t.Parallel()
	s := openShop(t, testenv.Options{})
	s.stock(t, "MUG", 1000)
	t.Run("history, then live", s.live)
	t.Run("resumed", s.resumed)
	t.Run("refused", s.noStream)
	t.Run("slow client", s.slowClient)
	t.Run("heartbeat and shutdown", s.shutdown)
}

// live: what was, then what happens, long before a comment says that nothing does; the data is an OrderEvent, the timeline says the same.
func (s *shop) live(t *testing.T) {
	a := s.c.Post(t, 201, "/v1/orders", "live", testenv.Order("live", "tok_action", testenv.Line("MUG", 1)), "Prefer", "wait=30")
	st := s.open(t, "live", "")
	history := st.until(t, "payment.action_required")
	if got := names(history); !slices.Equal(got, []string{"order.placed", "payment.initiated", "payment.authorisation_requested", "payment.action_required"}) {
		t.Errorf("history %v", got)
	}
	asked := time.Now()
	s.c.Post(t, 202, "/v1/orders/live/cancel", "live", `{"reason":"no"}`)
	answered := time.Now()
	now := st.until(t, "order.cancel_requested")
	if e := now[len(now)-1]; e.at.Sub(answered) > 10*time.Second {
		t.Errorf("%s came %s after the answer, %s after the request", e.name, e.at.Sub(answered), e.at.Sub(asked))
	}
	rest := st.until(t, "order.cancelled")
	st.close()
	all := slices.Concat(history, now, rest)
	line := items(t, s.c, "/v1/orders/live/timeline?limit=3&min_position="+a.Position())
	if len(line) != len(all) {
		t.Errorf("%d in the timeline, %d in the stream", len(line), len(all))
	}
	schema := s.spec.doc.Components.Schemas["OrderEvent"].Value
	for i, e := range all {
		if err := schema.VisitJSON(e.data); err != nil || e.id != e.data["position"] || e.name != e.data["type"] || len(e.data) != len(schema.Properties) {
			t.Errorf("%+v: %v", e, err)
		}
		var same map[string]any
		if i < len(line) {
			if err := json.Unmarshal(line[i], &same); err != nil || same["position"] != e.data["position"] || same["type"] != e.data["type"] || same["stream"] != e.data["stream"] {
				t.Errorf("timeline %s, stream %v", line[i], e.data)
			}
		}
	}
}

// resumed after each event in turn, a stream goes on with the next one, and misses and doubles none.
func (s *shop) resumed(t *testing.T) {
	s.c.Post(t, 201, "/v1/orders", "resumed", testenv.Order("resumed", "tok_slow_300", testenv.Line("MUG", 1)))
	s.until(t, "resumed", "visible", func(o placed) bool { return o.ID != "" })
	var all []event
	for after := ""; len(all) == 0 || all[len(all)-1].name != "order.confirmed"; {
		st := s.open(t, "resumed", after)
		e := st.next(t)
		st.close()
		after = e.id
		all = append(all, e)
	}
	if got := names(all); !slices.Equal(got, whole) {
		t.Errorf("%v", got)
	}
	// From the end on there is nothing, until something happens.
	st := s.open(t, "resumed", all[len(all)-1].id)
	s.c.Post(t, 202, "/v1/orders/resumed/cancel", "resumed", `{}`)
	if got := st.until(t, "order.cancelled"); got[0].name != "order.cancel_requested" {
		t.Errorf("resumed at the end: %v", names(got))
	}
	// A position that is no event of this order is as good: what came after it.
	st = s.open(t, "resumed", "1")
	if e := st.next(t); e.name != "order.placed" {
		t.Errorf("after 1: %+v", e)
	}
}

func (s *shop) noStream(t *testing.T) {
	s.refused(t, 404, "order_not_found", "GET", "/v1/orders/none/events", "")
	for _, bad := range []string{"x", "-1", "1.5", "99999999999999999999"} {
		s.refused(t, 400, "malformed_parameter", "GET", "/v1/orders/live/events", "", "Last-Event-ID", bad)
	}
}

// slowClient: one that reads nothing is cut off, and no other client is slower for it.
func (s *shop) slowClient(t *testing.T) {
	const n = 40
	for range n { // they ask and never read
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.API, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.(*net.TCPConn).SetReadBuffer(1)
		if _, err := fmt.Fprintf(conn, "GET /v1/orders/live/events HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 5 {
		id := fmt.Sprint("beside-", i)
		var o placed
		s.c.Post(t, 201, "/v1/orders", id, testenv.Order(id, "tok_approve", testenv.Line("MUG", 1)), "Prefer", "wait=30").Into(t, &o)
		if o.Status != "confirmed" {
			t.Errorf("beside clients that do not read: %s", o)
		}
	}
}

// shutdown: a quiet stream has a comment every 15 s; when the server is asked to stop it ends the stream at once, and who
// waits for an order gets its present state.
func (s *shop) shutdown(t *testing.T) {
	st := s.open(t, "live", "")
	st.until(t, "order.cancelled")
	if e := st.next(t); e.comment == "" {
		t.Errorf("%+v", e)
	}
	waiting := make(chan string, 1)
	go func() {
		a, err := s.c.Do(t.Context(), http.MethodPost, "/v1/orders", testenv.Order("waiting", "tok_late_60", testenv.Line("MUG", 1)), "Idempotency-Key", "waiting", "Prefer", "wait=30")
		var o placed
		_ = json.Unmarshal(a.Body, &o)
		waiting <- fmt.Sprint(a.Status, " ", o.Status, " ", err)
	}()
	s.until(t, "waiting", "visible", func(o placed) bool { return o.ID != "" })
	s.Stop()
	if said := <-waiting; said != "201 placed <nil>" {
		t.Errorf("the client that waited got %s", said)
	}
	select {
	case <-st.ended:
		if st.broken != nil {
			t.Errorf("the stream was not ended, but cut off after the time of grace: %v", st.broken)
		}
	case <-time.After(time.Minute):
		t.Error("the stream did not end with the server")
	}
}
