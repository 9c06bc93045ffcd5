package testenv

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Client talks to an API as a user does.
type Client struct {
	Base string
	HTTP *http.Client
}

// Client of this process' API.
func (p *Process) Client() *Client {
	return &Client{Base: p.API, HTTP: &http.Client{Timeout: time.Minute}}
}

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Into decodes the body, and fails the test if it is not JSON.
func (a Answer) Into(t testing.TB, v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(a.Body))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%v in %s", err, a.Body)
	}
}

// Object is the body as a JSON object.
func (a Answer) Object(t testing.TB) map[string]any {
	t.Helper()
	v := map[string]any{}
	a.Into(t, &v)
	return v
}

// Position is how far the answer reaches.
func (a Answer) Position() string { return a.Header.Get("Daybook-Position") }

// Do sends a request. Headers come in pairs; an Idempotency-Key may be among them.
func (c *Client) Do(ctx context.Context, method, path, body string, headers ...string) (Answer, error) {
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.Base+path, in)
	if err != nil {
		return Answer{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := c.HTTP.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	return Answer{res.StatusCode, res.Header, b}, err
}

// Post sends a command under a key, and fails the test unless it is answered with the status.
func (c *Client) Post(t testing.TB, status int, path, key, body string, headers ...string) Answer {
	t.Helper()
	a, err := c.Do(t.Context(), http.MethodPost, path, body, append([]string{"Idempotency-Key", key}, headers...)...)
	if err != nil {
		t.Fatal(err)
	}
	if a.Status != status {
		t.Fatalf("POST %s: %d, want %d: %s", path, a.Status, status, a.Body)
	}
	return a
}

// Get asks, and fails the test unless it is answered with 200.
func (c *Client) Get(t testing.TB, path string) Answer {
	t.Helper()
	a, err := c.Do(t.Context(), http.MethodGet, path, "")
	if err != nil {
		t.Fatal(err)
	}
	if a.Status != http.StatusOK {
		t.Fatalf("GET %s: %d: %s", path, a.Status, a.Body)
	}
	return a
}

// Insist repeats a command under one key until it is answered by something that is no passing trouble (5xx, connection lost),
// as a careful client does, and gives that answer.
func (c *Client) Insist(ctx context.Context, path, key, body string, headers ...string) (Answer, error) {
	var last error
	for ctx.Err() == nil {
		a, err := c.Do(ctx, http.MethodPost, path, body, append([]string{"Idempotency-Key", key}, headers...)...)
		switch {
		case err == nil && a.Status < http.StatusInternalServerError:
			return a, nil
		case err == nil:
			last = fmt.Errorf("%d: %s", a.Status, a.Body)
		default:
			last = err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return Answer{}, errors.Join(ctx.Err(), last)
}

// Order builds the body of a new order.
func Order(id, token string, lines ...string) string {
	return fmt.Sprintf(`{"id":%q,"currency":"GBP","customer":{"email":"bo@example.com"},
		"ship_to":{"line1":"2 High Street","city":"London","postal_code":"N1 1AA","country":"GB"},
		"shipping_method":"standard","lines":[%s],"payment":{"token":%q}}`, id, strings.Join(lines, ","), token)
}

// Line builds one line of an order.
func Line(sku string, quantity int) string {
	return fmt.Sprintf(`{"sku":%q,"quantity":%d}`, sku, quantity)
}
