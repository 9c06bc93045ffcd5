package simulator

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// clock is a clock that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func start(t *testing.T, cfg Config) *Server {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	cfg.Logger = slog.New(slog.DiscardHandler)
	s, err := Start(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// said is what came back: status 0 means no answer.
type said struct {
	Status int `json:"-"`
	Answer
	Error problem `json:"error"`
}

func post(t testing.TB, s *Server, path, key string, body any, wait time.Duration) said {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL()+"/simulator/v1/"+path, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", key)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return said{}
	}
	defer res.Body.Close()
	out := said{Status: res.StatusCode}
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return out
}

func get[T any](t testing.TB, s *Server, path string) (out T) {
	t.Helper()
	res, err := http.Get(s.URL() + "/simulator/v1/" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

func entries(t testing.TB, s *Server, query string) []Entry {
	t.Helper()
	return get[struct{ Charges []Entry }](t, s, "charges"+query).Charges
}

func found(t testing.TB, s *Server, effect string) []Answer {
	t.Helper()
	return get[struct{ Operations []Answer }](t, s, "operations?effect="+effect).Operations
}

func asked(token string, amount int64, order, effect string) request {
	return request{Amount: amount, Currency: "GBP", Token: token, Metadata: Metadata{OrderID: order, EffectID: effect, Attempt: 1}}
}

// soon is how long an answer that never comes is waited for: the request has to be there by then.
const soon, ample = time.Second, time.Minute

// TestTokens is the table of doc.go.
func TestTokens(t *testing.T) {
	t.Parallel()
	type want struct {
		status int // 0: no answer
		result Result
		code   string
		amount int64
	}
	approved, declined := want{200, Approved, "", 100}, want{402, Declined, "insufficient_funds", 0}
	silence, nothing := want{}, want{}
	for _, c := range []struct {
		token                  string
		first, repeat, lookup  want
		later                  time.Duration
		laterRepeat, laterLook want // after that time
		charged                int64
	}{
		{"tok_approve", approved, approved, approved, 0, approved, approved, 100},
		{"tok_decline", declined, declined, declined, 0, declined, declined, 0},
		{"tok_decline_once", declined, declined, declined, 0, declined, declined, 0},
		{
			"tok_action", want{202, ActionRequired, "", 100}, want{202, ActionRequired, "", 100}, want{202, ActionRequired, "", 100},
			time.Hour, want{202, ActionRequired, "", 100}, want{202, ActionRequired, "", 100}, 0,
		},
		{"tok_slow_20", approved, approved, approved, 0, approved, approved, 100},
		{"tok_silent", silence, silence, nothing, 48 * time.Hour, silence, nothing, 0},
		{"tok_silent_approved", silence, silence, approved, time.Hour, silence, approved, 100},
		{
			"tok_late_3", want{202, Processing, "", 100}, want{202, Processing, "", 100}, want{202, Processing, "", 100},
			3 * time.Second, approved, approved, 100,
		},
		{
			"tok_wrong_amount", want{200, Approved, "", 101}, want{200, Approved, "", 101}, want{200, Approved, "", 101},
			0, want{200, Approved, "", 101}, want{200, Approved, "", 101}, 101,
		},
		{"tok_void_fails_once", approved, approved, approved, 0, approved, approved, 100},
		{"tok_expires_5", approved, approved, approved, time.Minute, approved, approved, 100},
		{"tok_capture_fails", approved, approved, approved, 0, approved, approved, 100},
		{"tok_refund_fails", approved, approved, approved, 0, approved, approved, 100},
		{"tok_refund_reversed", approved, approved, approved, 0, approved, approved, 100},
		{
			"tok_nonsense", want{402, Declined, "unknown_token", 0}, want{402, Declined, "unknown_token", 0}, want{402, Declined, "unknown_token", 0},
			0, want{402, Declined, "unknown_token", 0}, want{402, Declined, "unknown_token", 0}, 0,
		},
		{
			"tok_slow_", want{402, Declined, "unknown_token", 0}, want{402, Declined, "unknown_token", 0}, want{402, Declined, "unknown_token", 0},
			0, want{402, Declined, "unknown_token", 0}, want{402, Declined, "unknown_token", 0}, 0,
		},
	} {
		t.Run(c.token, func(t *testing.T) {
			t.Parallel()
			clk := newClock()
			s := start(t, Config{Now: clk.now})
			wait := ample
			if c.first == silence {
				wait = soon
			}
			call := func(name string, w want) {
				t.Helper()
				got := post(t, s, "charges", "key", asked(c.token, 100, "o1", "e1"), wait)
				if (want{got.Status, got.Result, got.Code, got.Amount}) != w {
					t.Errorf("%s: got %+v, want %+v", name, got, w)
				}
			}
			look := func(name string, w want) {
				t.Helper()
				ops := found(t, s, "e1")
				if w == nothing {
					if len(ops) != 0 {
						t.Errorf("%s found %+v, want nothing", name, ops)
					}
					return
				}
				if len(ops) != 1 || (want{ops[0].status(), ops[0].Result, ops[0].Code, ops[0].Amount}) != w {
					t.Errorf("%s: got %+v, want %+v", name, ops, w)
				}
			}
			call("first call", c.first)
			call("repeat", c.repeat)
			look("lookup", c.lookup)
			clk.move(c.later)
			look("later lookup", c.laterLook)
			if c.later < 24*time.Hour || c.first == silence {
				call("later repeat", c.laterRepeat)
			}
			var open int64
			for _, e := range entries(t, s, "?order=o1") {
				open += e.Open
			}
			if open != c.charged {
				t.Errorf("the ledger holds %d on the card, want %d", open, c.charged)
			}
		})
	}
}

func TestSlowIsInProgressForAConcurrentRepeatAndOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	first := make(chan said)
	go func() { first <- post(t, s, "charges", "k", asked("tok_slow_400", 100, "o", "e"), ample) }()
	waitFor(t, func() bool {
		s.book.mu.Lock()
		defer s.book.mu.Unlock()
		return len(s.book.running) == 1
	})
	if got := post(t, s, "charges", "k", asked("tok_slow_400", 100, "o", "e"), ample); got.Status != 409 || got.Error.Code != "idempotency_in_progress" {
		t.Errorf("a repeat of what is at work: %+v", got)
	}
	if got := <-first; got.Result != Approved {
		t.Errorf("first: %+v", got)
	}
	if got := post(t, s, "charges", "k2", asked("tok_slow_300", 100, "o", "e2"), 50*time.Millisecond); got.Status != 0 {
		t.Fatalf("answered before its time: %+v", got)
	}
	waitFor(t, func() bool { return len(found(t, s, "e2")) == 1 })
	if got := post(t, s, "charges", "k2", asked("tok_slow_300", 100, "o", "e2"), ample); got.Result != Approved {
		t.Errorf("repeat: %+v", got)
	}
	if n := len(entries(t, s, "")); n != 2 {
		t.Errorf("%d charges, want 2", n)
	}
}

// waitFor polls a condition that nothing signals.
func waitFor(t testing.TB, is func() bool) {
	t.Helper()
	for end := time.Now().Add(ample); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not within the time")
		}
	}
}

func TestAKeyChargesOnce(t *testing.T) {
	t.Parallel()
	clk := newClock()
	s := start(t, Config{Now: clk.now})
	var wg sync.WaitGroup
	var approved, busy atomic.Int64
	ids := sync.Map{}
	for range 50 {
		wg.Go(func() {
			switch got := post(t, s, "charges", "k", asked("tok_approve", 100, "o", "e"), ample); got.Status {
			case 200:
				approved.Add(1)
				ids.Store(got.ID, true)
			case 409:
				busy.Add(1)
			default:
				t.Errorf("got %+v", got)
			}
		})
	}
	wg.Wait()
	different := 0
	ids.Range(func(any, any) bool { different++; return true })
	if n := len(entries(t, s, "")); n != 1 || different != 1 || approved.Load() < 1 {
		t.Errorf("%d charges, %d ids, %d approved, %d in progress", n, different, approved.Load(), busy.Load())
	}
	for _, other := range []request{
		asked("tok_approve", 101, "o", "e"), asked("tok_decline", 100, "o", "e"), asked("tok_approve", 100, "o2", "e"), asked("tok_approve", 100, "o", "e2"),
	} {
		if got := post(t, s, "charges", "k", other, ample); got.Status != 422 || got.Error.Code != "idempotency_key_reused" {
			t.Errorf("%+v under a used key: %+v", other, got)
		}
	}
	// A provider forgets: this is why an old request must be looked up, never repeated.
	clk.move(24*time.Hour + time.Second)
	if got := post(t, s, "charges", "k", asked("tok_approve", 100, "o", "e"), ample); got.Result != Approved {
		t.Errorf("after a day: %+v", got)
	}
	if n := len(found(t, s, "e")); n != 2 {
		t.Errorf("a forgotten key charged %d times in all, want 2", n)
	}
}

func TestVoids(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	charge := func(token, effect string) string {
		return post(t, s, "charges", effect, asked(token, 100, "o", effect), ample).ID
	}
	void := func(id, key string) said {
		return post(t, s, "charges/"+id+"/void", key, request{Metadata: Metadata{OrderID: "o", EffectID: key}}, ample)
	}
	expect := func(what string, got said, result Result, code string, amount int64) {
		t.Helper()
		if got.Result != result || got.Code != code || got.Amount != amount {
			t.Errorf("%s: %+v", what, got)
		}
	}
	id := charge("tok_approve", "a")
	expect("void", void(id, "av"), Approved, "", 100)
	expect("the same again", void(id, "av"), Approved, "", 100)
	expect("another void", void(id, "av2"), Approved, "", 0)
	if e := entries(t, s, "?reference="+id)[0]; e.Open != 0 || e.Voided != 100 || e.Status != StatusVoided {
		t.Errorf("voided: %+v", e)
	}
	expect("lookup of the void", said{Answer: found(t, s, "av")[0]}, Approved, "", 100)

	expect("void of a decline", void(charge("tok_decline", "d"), "dv"), Approved, "", 0)

	id = charge("tok_void_fails_once", "f")
	expect("first void", void(id, "fv"), Declined, "void_failed", 0)
	expect("its repeat", void(id, "fv"), Declined, "void_failed", 0)
	expect("second void", void(id, "fv2"), Approved, "", 100)

	id = charge("tok_late_60", "l")
	if got := void(id, "lv"); got.Status != 409 || got.Error.Code != "charge_processing" {
		t.Errorf("void of what is processing: %+v", got)
	}
	id = charge("tok_action", "x")
	expect("void of an open action", void(id, "xv"), Approved, "", 0)
	expect("its authorisation", said{Answer: found(t, s, "x")[0]}, Declined, "cancelled", 0)
	if got := post(t, s, "actions/"+id, "", map[string]string{}, ample); got.Status != 409 {
		t.Errorf("action after its void: %+v", got)
	}
	if got := void("ch_none", "nv"); got.Status != 404 {
		t.Errorf("void of no charge: %+v", got)
	}
}

func TestActions(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	act := func(attempt string, body any) int {
		return post(t, s, "actions/"+attempt, "", body, ample).Status
	}
	first := post(t, s, "charges", "e1", asked("tok_action", 100, "o1", "e1"), ample)
	if want := s.URL() + "/simulator/v1/actions/" + first.ID; first.ActionURL != want {
		t.Errorf("action at %q, want %q", first.ActionURL, want)
	}
	res, err := http.Post(first.ActionURL, "", nil) // as curl -X POST does
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("completing: %v %v", res, err)
	}
	_ = res.Body.Close()
	if got := act("e1", map[string]string{"result": "approve"}); got != 200 {
		t.Errorf("completing again: %d", got)
	}
	if got := act("e1", map[string]string{"result": "fail"}); got != 409 {
		t.Errorf("failing what was completed: %d", got)
	}
	if got := found(t, s, "e1")[0]; got.Result != Approved || got.Amount != 100 || got.ExpiresAt.IsZero() {
		t.Errorf("lookup after the action: %+v", got)
	}
	if got := post(t, s, "charges", "e1", asked("tok_action", 100, "o1", "e1"), ample); got.Result != ActionRequired {
		t.Errorf("a repeat gives what was said first, got %+v", got)
	}
	post(t, s, "charges", "e2", asked("tok_action", 100, "o2", "e2"), ample)
	if got := act("e2", map[string]string{"result": "fail"}); got != 200 {
		t.Errorf("failing by effect id: %d", got)
	}
	if got := found(t, s, "e2")[0]; got.Result != Declined || got.Code != "authentication_failed" {
		t.Errorf("lookup after a failed action: %+v", got)
	}
	for attempt, want := range map[string]int{"none": 404, "e2": 409} {
		if got := act(attempt, map[string]string{"result": "approve"}); got != want {
			t.Errorf("action of %s: %d, want %d", attempt, got, want)
		}
	}
	if got := act("e1", map[string]string{"result": "perhaps"}); got != 400 {
		t.Errorf("action with another result: %d", got)
	}
}

func TestCapturesAndRefunds(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	id := post(t, s, "charges", "e", asked("tok_approve", 100, "o", "e"), ample).ID
	for i, c := range []struct {
		path   string
		amount int64
		result Result
		amt    int64
	}{
		{"capture", 60, Approved, 60}, {"capture", 50, Declined, 0}, {"capture", 40, Approved, 40}, {"refund", 30, Approved, 30},
		{"refund", 71, Declined, 0}, {"void", 0, Declined, 0}, {"refund", 70, Approved, 70},
	} {
		key := fmt.Sprint("k", i)
		got := post(t, s, "charges/"+id+"/"+c.path, key, request{Amount: c.amount, Currency: "GBP", Metadata: Metadata{OrderID: "o", EffectID: key}}, ample)
		if got.Result != c.result || got.Amount != c.amt {
			t.Errorf("%d %s of %d: %+v", i, c.path, c.amount, got)
		}
	}
	if e := entries(t, s, "")[0]; e.Captured != 100 || e.Refunded != 100 || e.Open != 0 || e.Status != StatusRefunded {
		t.Errorf("%+v", e)
	}
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	good := asked("tok_approve", 100, "o", "e")
	with := func(change func(*request)) request { r := good; change(&r); return r }
	for name, r := range map[string]request{
		"no amount":        with(func(r *request) { r.Amount = 0 }),
		"negative":         with(func(r *request) { r.Amount = -1 }),
		"beyond 2^53":      with(func(r *request) { r.Amount = 1 << 53 }),
		"currency":         with(func(r *request) { r.Currency = "gbp" }),
		"no token":         with(func(r *request) { r.Token = "" }),
		"no effect":        with(func(r *request) { r.Metadata.EffectID = "" }),
		"no order":         with(func(r *request) { r.Metadata.OrderID = "" }),
		"another currency": with(func(r *request) { r.Currency = "GBPX" }),
	} {
		if got := post(t, s, "charges", "k", r, ample); got.Status != 400 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := post(t, s, "charges", "", good, ample); got.Status != 400 {
		t.Errorf("no key: %+v", got)
	}
	if got := post(t, s, "charges", "k", with(func(r *request) { r.Token = string(make([]byte, mostBody)) }), ample); got.Status != 413 {
		t.Errorf("huge: %+v", got)
	}
	res, err := http.Post(s.URL()+"/simulator/v1/actions/e", "text/plain", bytes.NewReader([]byte(`{"result":"fail"}`)))
	if err != nil || res.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("a form's content type: %v %v", res, err)
	}
	if res != nil {
		_ = res.Body.Close()
	}
	if n := len(entries(t, s, "")); n != 0 {
		t.Errorf("%d charges came of bad requests", n)
	}
}

func TestLedgerIsFilteredAndPaged(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	for i := range 7 {
		token := "tok_approve"
		if i%2 == 1 {
			token = "tok_decline"
		}
		post(t, s, "charges", strconv.Itoa(i), asked(token, 100, fmt.Sprint("o", i%3), strconv.Itoa(i)), ample)
	}
	for query, want := range map[string]int{"": 7, "?order=o0": 3, "?status=declined": 3, "?effect=4": 1, "?order=o0&status=authorised": 2, "?order=none": 0} {
		if got := len(entries(t, s, query)); got != want {
			t.Errorf("%s: %d charges, want %d", query, got, want)
		}
	}
	seen, after := 0, ""
	for {
		page := entries(t, s, "?limit=3&after="+after)
		for _, e := range page {
			if e.EffectID != strconv.Itoa(seen) {
				t.Errorf("charge %d is of effect %s", seen, e.EffectID)
			}
			seen, after = seen+1, e.ID
		}
		if len(page) < 3 {
			break
		}
	}
	if seen != 7 {
		t.Errorf("paging gave %d charges", seen)
	}
}
