// Package gateway is one address in front of both APIs: each operation goes to the API of its side.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/daybook-dev/daybook/api"
)

// New gives a handler over the APIs of both sides. A method that a route does not have is refused here: each API knows its own only.
func New(t *api.Table, commands, queries http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found := t.Find(r)
		r = r.WithContext(context.WithValue(r.Context(), foundKey{}, found))
		switch {
		case found.Refused:
			t.ServeHTTP(w, r)
		case found.Side == api.Queries:
			queries.ServeHTTP(w, r)
		default:
			commands.ServeHTTP(w, r)
		}
	})
}

type foundKey struct{}

// more is how much longer than the API behind it the gateway waits: an answer that says what is wrong comes from there.
const more = 2 * time.Second

// errLate is why a request ended that the API behind did not answer in its time.
var errLate = errors.New("the API did not answer in its time")

// Proxy hands requests to an API elsewhere, streams included. Requests are not repeated: who has the key may do so. One that the
// API does not answer within what it promises is answered here.
func Proxy(to string, log *slog.Logger) (http.Handler, error) {
	target, err := url.Parse(to)
	if err != nil || target.Host == "" {
		return nil, fmt.Errorf("gateway: %q is not the URL of an API", to)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // as documented
	transport.Proxy = nil
	transport.MaxIdleConnsPerHost = 256
	proxy := &httputil.ReverseProxy{
		Transport: transport, FlushInterval: -1,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			p.SetXForwarded()
			if api.Head(p.In) {
				p.Out.Method = http.MethodHead
			}
			for _, name := range []string{"Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest"} { // which were ours to look at
				p.Out.Header.Del(name)
			}
		},
		ModifyResponse: func(res *http.Response) error {
			if begun, ok := res.Request.Context().Value(begunKey{}).(func()); ok {
				begun()
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if errors.Is(err, context.Canceled) && !errors.Is(context.Cause(r.Context()), errLate) {
				return
			}
			log.Debug("gateway could not reach an API", "target", target.Host, "error", err)
			_ = problem(r).Write(w, api.TraceID(r))
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancelCause(r.Context())
		late := time.AfterFunc(api.Within(r)+more, func() { cancel(errLate) })
		defer late.Stop()
		defer cancel(nil)
		if found, _ := ctx.Value(foundKey{}).(api.Found); found.Streams {
			ctx = context.WithValue(ctx, begunKey{}, func() { late.Stop() })
		}
		proxy.ServeHTTP(w, r.WithContext(ctx))
	}), nil
}

// Check tells whether an API elsewhere is there: it asks for its liveness.
func Check(ctx context.Context, at string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at+"/livez", nil)
	if err != nil {
		return fmt.Errorf("ask %s whether it is alive: %w", at, err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask %s whether it is alive: %w", at, err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", at, res.Status)
	}
	return nil
}

// begunKey is where a stream's context has what is to be done once its answer begins.
type begunKey struct{}

func problem(r *http.Request) *api.Problem {
	p := api.NewProblem("outcome_unknown", "the API did not answer; repeat the request with the same key")
	if api.Reads(r.Method) {
		p = api.NewProblem("unavailable", "the API cannot be reached just now")
	}
	p.RetryAfter = 1
	return p
}
