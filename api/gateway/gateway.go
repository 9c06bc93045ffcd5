// Package gateway is one address in front of both APIs: what reads goes to the queries, everything else to the commands.
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

// New gives a handler over two others.
func New(commands, queries http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodGet, http.MethodHead:
			queries.ServeHTTP(w, r)
		default:
			commands.ServeHTTP(w, r)
		}
	})
}

// Proxy hands requests to an API elsewhere, streams included. Requests are not repeated: who has the key may do so.
func Proxy(to string, log *slog.Logger) (http.Handler, error) {
	target, err := url.Parse(to)
	if err != nil || target.Host == "" {
		return nil, fmt.Errorf("gateway: %q is not the URL of an API", to)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // as documented
	transport.Proxy = nil
	transport.MaxIdleConnsPerHost = 256
	transport.ResponseHeaderTimeout = time.Minute
	return &httputil.ReverseProxy{
		Transport: transport, FlushInterval: -1,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			p.SetXForwarded()
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if errors.Is(err, context.Canceled) {
				return
			}
			log.Warn("gateway could not reach an API", "target", target.Host, "error", err)
			problem := api.NewProblem("outcome_unknown", "the API did not answer; repeat the request with the same key")
			if r.Method == http.MethodGet || r.Method == http.MethodHead {
				problem = api.NewProblem("unavailable", "the API cannot be reached just now")
				problem.RetryAfter = 1
			}
			_ = problem.Write(w, api.TraceID(r))
		},
	}, nil
}
