package paymentprovider

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-dev/daybook/events"
)

func client(t *testing.T, url string) *Client { return clientWithin(t, url, time.Minute) }

func clientWithin(t *testing.T, url string, within time.Duration) *Client {
	t.Helper()
	c, err := NewClient(ClientConfig{URL: url, Timeout: within})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

var request = Request{Key: "e1", OrderID: "o1", Attempt: 1, Amount: events.Money{Amount: 100, Currency: "GBP"}, Token: "tok_secret", Reference: "ch_1"}

// TestOnlyTheProvidersOwnWordsAreAnOutcome: everything else leaves the attempt unknown.
func TestOnlyTheProvidersOwnWordsAreAnOutcome(t *testing.T) {
	t.Parallel()
	approved := `{"id":"ch_1","result":"approved","amount":100,"currency":"GBP"}`
	for name, c := range map[string]struct {
		status int
		body   string
		want   Outcome
	}{
		"approved":                      {200, approved, Approved},
		"declined":                      {402, `{"id":"ch_1","result":"declined","code":"card_declined"}`, Declined},
		"action":                        {202, `{"id":"ch_1","result":"action_required","action_url":"http://x"}`, ActionRequired},
		"processing":                    {202, `{"id":"ch_1","result":"processing"}`, InProgress},
		"in progress":                   {409, `{"error":{"code":"idempotency_in_progress"}}`, InProgress},
		"reused key":                    {422, `{"error":{"code":"idempotency_key_reused"}}`, Unknown},
		"bad request":                   {400, `{"error":{"code":"bad_request"}}`, Unknown},
		"gateway's page":                {502, `<html>Bad Gateway</html>`, Unknown},
		"stored 500":                    {500, `{"error":{"code":"internal"}}`, Unknown},
		"503 that says approved":        {503, approved, Unknown},
		"404 of another server":         {404, `{}`, Unknown},
		"401":                           {401, `{"error":{"code":"unauthorised"}}`, Unknown},
		"200 without a result":          {200, `{}`, Unknown},
		"200 of another kind":           {200, `{"result":"maybe"}`, Unknown},
		"402 without a word":            {402, `{"error":{"code":"quota_exceeded"}}`, Unknown},
		"empty":                         {200, ``, Unknown},
		"cut off":                       {200, approved[:30], Unknown},
		"redirect":                      {307, approved, Unknown},
		"amount that is not an integer": {200, `{"id":"ch_1","result":"approved","amount":1.5,"currency":"GBP"}`, Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if c.status == 307 {
					w.Header().Set("Location", r.URL.Path+"/again")
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}))
			t.Cleanup(s.Close)
			got := client(t, s.URL).Authorise(t.Context(), request)
			if got.Outcome != c.want {
				t.Errorf("%s (%s), want %s", got.Outcome, got.Detail, c.want)
			}
			if got.Outcome == Unknown && got.Detail == "" || strings.Contains(got.Detail, request.Token) {
				t.Errorf("detail: %q", got.Detail)
			}
			if look := client(t, s.URL).Lookup(t.Context(), "e1"); look.Outcome != Unknown {
				t.Errorf("lookup took that for %s", look.Outcome)
			}
		})
	}
}

func TestTheRequestIsWhatTheProviderNeeds(t *testing.T) {
	t.Parallel()
	var got []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = append(got, fmt.Sprint(r.Method, " ", r.URL, " ", r.Header.Get("Idempotency-Key"), " ", string(b)))
		_, _ = io.WriteString(w, `{"operations":[]}`)
	}))
	t.Cleanup(s.Close)
	c := client(t, s.URL+"/")
	odd := Request{Key: "e2", OrderID: "o1", Attempt: 2, Reference: "ch_/.."}
	c.Authorise(t.Context(), Request{Key: "e1", OrderID: "o1", Attempt: 1, Amount: request.Amount, Token: "tok"})
	c.Void(t.Context(), odd)
	c.Capture(t.Context(), Request{Key: "e3", OrderID: "o1", Attempt: 1, Amount: request.Amount, Reference: "ch_1"})
	c.Refund(t.Context(), Request{Key: "e4", OrderID: "o1", Attempt: 1, Amount: request.Amount, Reference: "ch_1"})
	if a := c.Lookup(t.Context(), "o/1&void"); a.Outcome != NotFound {
		t.Errorf("an empty lookup: %s", a.Outcome)
	}
	want := []string{
		`POST /simulator/v1/charges e1 {"amount":100,"currency":"GBP","token":"tok","metadata":{"order_id":"o1","effect_id":"e1","attempt":1}}`,
		`POST /simulator/v1/charges/ch_%2F../void e2 {"metadata":{"order_id":"o1","effect_id":"e2","attempt":2}}`,
		`POST /simulator/v1/charges/ch_1/capture e3 {"amount":100,"currency":"GBP","metadata":{"order_id":"o1","effect_id":"e3","attempt":1}}`,
		`POST /simulator/v1/charges/ch_1/refund e4 {"amount":100,"currency":"GBP","metadata":{"order_id":"o1","effect_id":"e4","attempt":1}}`,
		`GET /simulator/v1/operations?effect=o%2F1%26void  `,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestOnlyTheReactorRepeats: net/http sends a request with an Idempotency-Key again when a kept connection breaks. The client
// must not let it.
func TestOnlyTheReactorRepeats(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if calls.Add(1) == 1 {
			_, _ = io.WriteString(w, `{"id":"ch_1","result":"approved"}`)
			return
		}
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(s.Close)
	c := client(t, s.URL)
	if a := c.Authorise(t.Context(), request); a.Outcome != Approved {
		t.Fatal(a)
	}
	if a := c.Authorise(t.Context(), request); a.Outcome != Unknown {
		t.Error(a)
	}
	if n := calls.Load(); n != 2 {
		t.Errorf("the server saw %d requests of 2", n)
	}
}

func TestNoAnswerIsUnknownInTime(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	begin := time.Now()
	a := clientWithin(t, s.URL, 200*time.Millisecond).Authorise(t.Context(), request)
	if a.Outcome != Unknown || a.Detail != "no answer within 200ms" || time.Since(begin) > time.Minute {
		t.Errorf("%s %q after %s", a.Outcome, a.Detail, time.Since(begin))
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	if a := client(t, gone.URL).Authorise(t.Context(), request); a.Outcome != Unknown || strings.Contains(a.Detail, "tok_") {
		t.Errorf("%s %q", a.Outcome, a.Detail)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if a := client(t, s.URL).Authorise(ctx, request); a.Outcome != Unknown {
		t.Errorf("cancelled: %s", a.Outcome)
	}
}

func TestClientAddresses(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "127.0.0.1:8082", "ftp://x", "http://"} {
		if _, err := NewClient(ClientConfig{URL: bad}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
