package telemetry

import (
	"context"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// HTTP is the figures of the HTTP servers of a process: rate, errors and duration by route template, never by path.
type HTTP struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	running  *prometheus.GaugeVec
}

// NewHTTP registers the figures.
func NewHTTP(reg prometheus.Registerer) (*HTTP, error) {
	m := &HTTP{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "daybook_http_requests_total", Help: "Requests answered, by server, route template, method and status.",
		}, []string{"server", "route", "method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "daybook_http_request_duration_seconds", Help: "Time from a request's headers to the end of its answer.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 12),
		}, []string{"server", "route", "method"}),
		running: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "daybook_http_requests_in_flight", Help: "Requests that are being answered, open event streams included.",
		}, []string{"server"}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.running} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("metrics of HTTP: %w", err)
		}
	}
	return m, nil
}

type routeKey struct{}

// Handler counts what next answers. route gives the template of a request, "" if no route fits.
func (m *HTTP) Handler(server string, route func(*http.Request) string, next http.Handler) http.Handler {
	labels := prometheus.Labels{"server": server}
	byRoute := promhttp.WithLabelFromCtx("route", func(ctx context.Context) string {
		template, _ := ctx.Value(routeKey{}).(string)
		return template
	})
	counted := promhttp.InstrumentHandlerCounter(m.requests.MustCurryWith(labels), next, byRoute)
	timed := promhttp.InstrumentHandlerDuration(m.seconds.MustCurryWith(labels), counted, byRoute)
	tracked := promhttp.InstrumentHandlerInFlight(m.running.With(labels), timed)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		template := route(r)
		if template == "" {
			template = "unmatched"
		}
		tracked.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), routeKey{}, template)))
	})
}
