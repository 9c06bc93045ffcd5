package e2e

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"github.com/daybook-dev/daybook/internal/testenv"
)

// Every metric of a running process has the one prefix, keeps to Prometheus' conventions, and the figures that an operator needs
// first are there: rate, errors and duration of HTTP by route, lag of every engine by partition, health by reporter.
func TestMetricsOfARunningProcess(t *testing.T) {
	t.Parallel()
	p := testenv.Start(t, testenv.Options{Args: testenv.AnyPorts()})
	c := p.Client()
	added := c.Post(t, http.StatusCreated, "/v1/products", "p", `{"sku":"MUG","name":"Mug","prices":{"GBP":100}}`)
	for _, path := range []string{"/v1/products/MUG?min_position=" + added.Position(), "/v1/products/NONE", "/v1/orders?limit=0", "/no/such/path", "/v1/orders/secret-id/events"} {
		_, _ = c.Do(t.Context(), http.MethodGet, path, "")
	}
	families := p.Metrics()

	var names []string
	for name, family := range families {
		names = append(names, name)
		if !strings.HasPrefix(name, "daybook_") && !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			t.Errorf("%s has not the prefix daybook_", name)
		}
		if family.GetHelp() == "" {
			t.Errorf("%s has no help", name)
		}
	}
	slices.Sort(names)
	var ours []*dto.MetricFamily
	for _, name := range names {
		if strings.HasPrefix(name, "daybook_") {
			ours = append(ours, families[name])
		}
	}
	problems, err := promlint.NewWithMetricFamilies(ours).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}

	for _, want := range []struct {
		metric string
		labels map[string]string
	}{
		{"daybook_http_requests_total", map[string]string{"server": "gateway", "route": "/v1/products", "method": "post", "code": "201"}},
		{"daybook_http_requests_total", map[string]string{"server": "gateway", "route": "/v1/products/:sku", "method": "get", "code": "200"}},
		{"daybook_http_requests_total", map[string]string{"server": "gateway", "route": "/v1/products/:sku", "method": "get", "code": "404"}},
		{"daybook_http_requests_total", map[string]string{"server": "gateway", "route": "/v1/orders", "method": "get"}},
		{"daybook_http_requests_total", map[string]string{"server": "gateway", "route": "unmatched", "method": "get", "code": "404"}},
		{"daybook_http_requests_total", map[string]string{"server": "admin", "route": "/readyz", "method": "get"}},
		{"daybook_http_request_duration_seconds", map[string]string{"server": "gateway", "route": "/v1/products", "method": "post"}},
		{"daybook_health_ready", map[string]string{"reporter": "relay"}},
		{"daybook_relay_lag_positions", nil},
		{"daybook_relay_lag_seconds", nil},
	} {
		if !has(families[want.metric], want.labels) {
			t.Errorf("there is no %s%v", want.metric, want.labels)
		}
	}
	for _, engine := range []string{"projections", "sagas", "reactors"} {
		for partition := range 12 {
			labels := map[string]string{"consumer": engine, "partition": strconv.Itoa(partition)}
			if !has(families["daybook_feed_lag_events"], labels) || !has(families["daybook_feed_lag_seconds"], labels) {
				t.Errorf("there is no lag of %v", labels)
			}
		}
	}
	for _, model := range []string{"customers", "order_details", "order_events", "order_list", "products", "sales", "sales_by_product", "stock_levels"} {
		for partition := range 12 {
			labels := map[string]string{"projection": model, "partition": strconv.Itoa(partition)}
			if !has(families["daybook_projection_lag_events"], labels) || !has(families["daybook_projection_lag_seconds"], labels) {
				t.Errorf("there is no lag of %v", labels)
			}
		}
	}
	for _, m := range families["daybook_http_requests_total"].GetMetric() {
		for _, l := range m.GetLabel() {
			if strings.Contains(l.GetValue(), "MUG") || strings.Contains(l.GetValue(), "secret-id") {
				t.Errorf("a label holds a part of a path: %s=%s", l.GetName(), l.GetValue())
			}
		}
	}
}

func has(family *dto.MetricFamily, labels map[string]string) bool {
	return slices.ContainsFunc(family.GetMetric(), func(m *dto.Metric) bool {
		found := 0
		for _, l := range m.GetLabel() {
			if v, ok := labels[l.GetName()]; ok && v == l.GetValue() {
				found++
			}
		}
		return found == len(labels)
	})
}
