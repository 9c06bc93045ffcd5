package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// client speaks to one API. What fails in passing (no connection, 5xx, 429) it asks again, commands under their key.
type client struct {
	base    string
	http    *http.Client
	retries atomic.Int64
}

func newClient(base string) *client {
	t := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // the standard library's
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, 1024
	return &client{base: strings.TrimSuffix(base, "/"), http: &http.Client{Transport: t}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

const (
	callWithin   = 45 * time.Second // more than the longest Prefer: wait
	firstBackoff = 20 * time.Millisecond
	lastBackoff  = time.Second
)

type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) into(v any) error {
	if err := json.Unmarshal(a.body, v); err != nil {
		return fmt.Errorf("read the answer %s: %w", a.body, err)
	}
	return nil
}

func (a answer) position() uint64 {
	n, _ := strconv.ParseUint(a.header.Get("Daybook-Position"), 10, 64) // 0 says nothing
	return n
}

func (a answer) replayed() bool { return a.header.Get("Idempotent-Replayed") == "true" }

// refusedError is an answer that repeating does not change.
type refusedError struct {
	what   string
	status int
	body   string
}

func (e *refusedError) Error() string { return fmt.Sprintf("%s: %d: %s", e.what, e.status, e.body) }

// insist asks until there is an answer that will not pass, and gives it; one of 400 and more is a *refusedError as well.
func (c *client) insist(ctx context.Context, method, path string, body []byte, headers ...string) (answer, error) {
	backoff := firstBackoff
	for {
		a, err := c.once(ctx, method, path, body, headers)
		switch {
		case err == nil && a.status < http.StatusBadRequest:
			return a, nil
		case err == nil && a.status < http.StatusInternalServerError && a.status != http.StatusTooManyRequests:
			return a, &refusedError{method + " " + path, a.status, string(a.body)}
		case err == nil:
			err = fmt.Errorf("%d: %s", a.status, a.body)
		}
		c.retries.Add(1)
		select {
		case <-time.After(backoff):
			backoff = min(2*backoff, lastBackoff)
		case <-ctx.Done():
			return answer{}, fmt.Errorf("%s %s: %w", method, path, errors.Join(ctx.Err(), err))
		}
	}
}

func (c *client) once(ctx context.Context, method, path string, body []byte, headers []string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, b}, err
}
