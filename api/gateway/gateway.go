// Package gateway is one address for both APIs. Each operation goes to the API of its side.
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

// New returns a handler over the APIs of both sides. It refuses unsupported methods itself, because each API knows only its own.
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

// more is how much longer the gateway waits than the API behind it, whose answer says what is wrong.
const more = 2 * time.Second

// errLate is the cause of a request that the API did not answer in time.
var errLate = errors.New("the API did not answer in its time")

// errCutOff is the cause of an answer to a request that the API took for cancelled. If it was not, the connection between is broken.
var errCutOff = errors.New("the API lost the connection")

// Proxy forwards requests to an API in another process, streams included. It does not retry: the caller has the key and may. It answers
// a request that the API does not answer in time.
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
			for _, name := range []string{"Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest"} { // the gateway has checked them
				p.Out.Header.Del(name)
			}
		},
		ModifyResponse: func(res *http.Response) error {
			if begun, ok := res.Request.Context().Value(begunKey{}).(func()); ok {
				begun()
			}
			if res.StatusCode == api.StatusCancelled {
				return errCutOff
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			p := api.Cancelled(r)
			if p == nil {
				log.Debug("gateway could not reach an API", "target", target.Host, "error", err)
				p = problem(r)
			}
			_ = p.Write(w, api.TraceID(r))
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

// Check asks an API in another process for its liveness.
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

// begunKey holds the function that is called when the answer of a stream begins.
type begunKey struct{}

func problem(r *http.Request) *api.Problem {
	p := api.NewProblem("outcome_unknown", "the API did not answer; repeat the request with the same key")
	if api.Reads(r.Method) {
		p = api.NewProblem("unavailable", "the API cannot be reached just now")
	}
	p.RetryAfter = 1
	return p
}
