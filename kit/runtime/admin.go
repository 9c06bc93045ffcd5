package runtime

import (
	"encoding/json"
	"html/template"
	"net/http"
	"net/http/pprof"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
)

// admin serves what operators look at: metrics, health, and profiles if they are asked for.
func (n *Node) admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", n.index)
	for path, h := range probes(n.health, true) {
		mux.Handle("GET "+path, h)
	}
	// A figure that cannot be read, in an outage of Postgres say, must not take the others along.
	mux.Handle("GET /metrics", promhttp.HandlerFor(named{n.metrics, n.cfg.name()}, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	mux.HandleFunc("GET /openapi.yaml", adminDocument)
	mux.HandleFunc("GET /admin/v1/projections", n.listProjections)
	mux.HandleFunc("GET /admin/v1/projections/{name}/why", n.explainRow)
	mux.HandleFunc("GET /admin/v1/parked", n.listParked)
	mux.HandleFunc("POST /admin/v1/parked/{id}/retry", n.retryParked)
	mux.HandleFunc("POST /admin/v1/parked/{id}/skip", n.skipParked)
	if n.cfg.Pprof {
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	}
	route := func(r *http.Request) string {
		_, pattern := mux.Handler(r)
		_, path, _ := strings.Cut(pattern, " ")
		return strings.TrimSuffix(path, "{$}")
	}
	return n.http.Handler("admin", route, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if route(r) != "" {
			mux.ServeHTTP(w, r)
			return
		}
		other := r.Clone(r.Context())
		for method, allowed := range map[string]string{http.MethodGet: "GET, HEAD", http.MethodPost: "POST"} {
			if other.Method = method; route(other) == "" {
				continue
			}
			w.Header().Set("Allow", allowed)
			n.domain.refuse(w, r, http.StatusMethodNotAllowed, "method_not_allowed", "this address does not take this method")
			return
		}
		n.domain.refuse(w, r, http.StatusNotFound, "route_not_found", "there is nothing at this address")
	}))
}

var indexPage = template.Must(template.New("index").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{{.Title}}</title>
<body style="font-family:system-ui,sans-serif;max-width:40rem;margin:3rem auto;line-height:1.6">
<h1>{{.Title}}</h1><ul>{{range .Links}}<li><a href="{{.Href}}">{{.Name}}</a></li>{{end}}</ul></body></html>
`))

type link struct {
	Name string `json:"name"`
	Href string `json:"href"`
}

// index is a page for browsers, else JSON.
func (n *Node) index(w http.ResponseWriter, r *http.Request) {
	about := title(n.cfg.name()) + ", for its operators"
	links := []link{{"Metrics", "/metrics"}, {"Is it ready?", "/readyz?verbose"}, {"Is it alive?", "/livez"}, {"How far are the read models?", "/admin/v1/projections"}, {"API document (OpenAPI)", "/openapi.yaml"}}
	w.Header().Set("Vary", "Accept")
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"title": about, "links": links}) // the client has gone
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = indexPage.Execute(w, map[string]any{"Title": about, "Links": links})
}

// named gives the figures of a domain the prefix of its name.
type named struct {
	prometheus.Gatherer

	name string
}

func (g named) Gather() ([]*dto.MetricFamily, error) {
	all, err := g.Gatherer.Gather()
	if g.name == usualName {
		return all, err
	}
	for _, f := range all {
		if rest, ok := strings.CutPrefix(f.GetName(), usualName+"_"); ok {
			name := strings.ReplaceAll(g.name, "-", "_") + "_" + rest
			f.Name = &name
		}
	}
	return all, err
}

func (d Domain) refuse(w http.ResponseWriter, r *http.Request, status int, code, detail string) {
	if d.Problems.Refuse != nil {
		d.Problems.Refuse(w, r, status, code, detail)
		return
	}
	media, body := problem(status, code, detail)
	w.Header().Set("Content-Type", media)
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client has gone
}

func (d Domain) unread(status int, detail string) (mediaType string, body []byte) {
	if d.Problems.Unread != nil {
		return d.Problems.Unread(status, detail)
	}
	return problem(status, "malformed_request", "the request cannot be read: "+detail)
}

func problem(status int, code, detail string) (mediaType string, body []byte) {
	body, err := json.Marshal(map[string]any{"status": status, "title": http.StatusText(status), "code": code, "detail": detail})
	if err != nil { // texts
		panic(err)
	}
	return "application/problem+json", body
}
