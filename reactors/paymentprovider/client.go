package paymentprovider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/daybook-dev/daybook/events"
)

// ClientConfig of the simulator's client.
type ClientConfig struct {
	URL     string        // of the simulator: http://127.0.0.1:8082
	Timeout time.Duration // of a call; 10 s if 0
}

// Client is a Provider that speaks to the simulator.
type Client struct {
	base    string
	timeout time.Duration
	http    *http.Client
}

// NewClient checks the address; nothing is called yet.
func NewClient(cfg ClientConfig) (*Client, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("payment provider: %q is not an http address", cfg.URL)
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Second
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConns: 64, MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute,
		TLSHandshakeTimeout: cfg.Timeout, ForceAttemptHTTP2: true,
	}
	return &Client{
		base: strings.TrimSuffix(cfg.URL, "/") + "/simulator/v1/", timeout: cfg.Timeout,
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Close lets idle connections go.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Authorise implements Provider.
func (c *Client) Authorise(ctx context.Context, r Request) Answer {
	return c.charge(ctx, "charges", r)
}

// Void implements Provider.
func (c *Client) Void(ctx context.Context, r Request) Answer {
	r.Amount = events.Money{}
	return c.charge(ctx, "charges/"+url.PathEscape(r.Reference)+"/void", r)
}

// Capture implements Provider.
func (c *Client) Capture(ctx context.Context, r Request) Answer {
	return c.charge(ctx, "charges/"+url.PathEscape(r.Reference)+"/capture", r)
}

// Refund implements Provider.
func (c *Client) Refund(ctx context.Context, r Request) Answer {
	return c.charge(ctx, "charges/"+url.PathEscape(r.Reference)+"/refund", r)
}

func (c *Client) charge(ctx context.Context, path string, r Request) Answer {
	type metadata struct {
		OrderID  string `json:"order_id"`
		EffectID string `json:"effect_id"`
		Attempt  int    `json:"attempt"`
	}
	body, err := json.Marshal(struct {
		Amount   int64    `json:"amount,omitempty"`
		Currency string   `json:"currency,omitempty"`
		Token    string   `json:"token,omitempty"`
		Metadata metadata `json:"metadata"`
	}{r.Amount.Amount, r.Amount.Currency, r.Token, metadata{r.OrderID, r.Key, r.Attempt}})
	if err != nil {
		return Answer{Detail: err.Error()}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader(body))
	if err != nil {
		return Answer{Detail: err.Error()}
	}
	// With an Idempotency-Key net/http would repeat a request by itself when a kept connection breaks. Repeating is
	// the reactor's alone, so the body can be read once only.
	req.GetBody = nil
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", r.Key)
	status, got, err := c.do(req)
	if err != nil {
		return Answer{Detail: err.Error()}
	}
	return answerOf(status, got)
}

// Check tells whether the provider answers now: it looks up a key that was never used.
func (c *Client) Check(ctx context.Context) error {
	if a := c.Lookup(ctx, "00000000-0000-0000-0000-000000000000"); a.Outcome == Unknown {
		return errors.New(a.Detail)
	}
	return nil
}

// Lookup implements Provider.
func (c *Client) Lookup(ctx context.Context, key string) Answer {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"operations?effect="+url.QueryEscape(key), nil)
	if err != nil {
		return Answer{Detail: err.Error()}
	}
	status, body, err := c.do(req)
	if err != nil {
		return Answer{Detail: err.Error()}
	}
	var found struct {
		Operations []answer `json:"operations"`
	}
	if status != http.StatusOK || json.Unmarshal(body, &found) != nil {
		return Answer{Detail: fmt.Sprintf("lookup answered with status %d", status)}
	}
	if found.Operations == nil {
		return Answer{Detail: "lookup did not say what it found"}
	}
	if len(found.Operations) == 0 {
		return Answer{Outcome: NotFound}
	}
	for _, a := range found.Operations { // more than one only if a key was used after its lifetime: money counts first
		if p := a.port(); p.Outcome == Approved {
			return p
		}
	}
	return found.Operations[len(found.Operations)-1].port()
}

const mostAnswer = 1 << 20

func (c *Client) do(req *http.Request) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(req.Context(), c.timeout)
	defer cancel()
	res, err := c.http.Do(req.WithContext(ctx))
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return 0, nil, fmt.Errorf("no answer within %s", c.timeout)
		}
		if u := (*url.Error)(nil); errors.As(err, &u) {
			err = u.Err // without the address
		}
		return 0, nil, fmt.Errorf("no answer: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(res.Body, mostAnswer))
	if err != nil {
		return 0, nil, fmt.Errorf("half an answer: %w", err)
	}
	return res.StatusCode, body, nil
}

// answer is the simulator's.
type answer struct {
	ID        string    `json:"id"`
	Result    string    `json:"result"`
	Code      string    `json:"code"`
	Detail    string    `json:"detail"`
	Amount    int64     `json:"amount"`
	Currency  string    `json:"currency"`
	ActionURL string    `json:"action_url"`
	ExpiresAt time.Time `json:"expires_at"`
}

func (a answer) port() Answer {
	out := Answer{Reference: a.ID, Amount: events.Money{Amount: a.Amount, Currency: a.Currency}, Code: a.Code, Detail: a.Detail, ActionURL: a.ActionURL, ExpiresAt: a.ExpiresAt}
	switch a.Result {
	case "approved":
		out.Outcome = Approved
	case "declined":
		out.Outcome = Declined
	case "action_required":
		out.Outcome = ActionRequired
	case "processing":
		out.Outcome = InProgress
	default:
		return Answer{Detail: fmt.Sprintf("the provider's result %q is not known", a.Result)}
	}
	return out
}

// answerOf takes only the provider's own words for an outcome: a status alone may be a proxy's.
func answerOf(status int, body []byte) Answer {
	var got struct {
		answer

		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.Unmarshal(body, &got); err != nil {
		return Answer{Detail: fmt.Sprintf("status %d, and no JSON", status)}
	}
	switch status {
	case http.StatusOK, http.StatusAccepted, http.StatusPaymentRequired:
		return got.port()
	case http.StatusConflict:
		return Answer{Outcome: InProgress, Detail: got.Error.Code}
	}
	return Answer{Detail: fmt.Sprintf("status %d %s: %s", status, got.Error.Code, got.Error.Message)}
}
