package runtime

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/daybook-dev/daybook/internal/postgres"
	"github.com/daybook-dev/daybook/internal/reader"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection"
	"github.com/daybook-dev/daybook/kit/projection/plan"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// adminSpec describes the operations of the admin API.
//
//go:embed admin.openapi.yaml
var adminSpec []byte

func adminDocument(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(adminSpec) // the client has gone
}

// answerWithin bounds what an operator waits for an answer.
const answerWithin = 5 * time.Second

// listProjections serves GET /admin/v1/projections.
func (n *Node) listProjections(w http.ResponseWriter, r *http.Request) {
	if r.URL.RawQuery != "" {
		n.domain.refuse(w, r, http.StatusBadRequest, "malformed_parameter", "this operation has no parameters")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	all, err := n.lags(ctx)
	if err != nil {
		n.failed(w, r, err)
		return
	}
	answer(w, shownLags(all, time.Now()))
}

// explainRow serves GET /admin/v1/projections/{name}/why.
func (n *Node) explainRow(w http.ResponseWriter, r *http.Request) {
	if !n.onLoopback(w, r, "rows are shown") {
		return
	}
	name := r.PathValue("name")
	ask, err := readWhy(r.URL.RawQuery)
	if err != nil {
		n.domain.refuse(w, r, http.StatusBadRequest, "malformed_parameter", err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	h, err := n.why(ctx, name, ask)
	if err != nil {
		n.failed(w, r, err)
		return
	}
	answer(w, shownHistory(name, ask, h))
}

func (n *Node) why(ctx context.Context, name string, ask whyAsked) (reader.History, error) {
	if n.system == nil {
		return reader.History{}, errNoSystem
	}
	p := n.domain.projection(name)
	if p == nil {
		return reader.History{}, errNoProjection
	}
	return n.system.Reader.Why(ctx, n.system.Store, p, ask.key, ask.after, ask.limit)
}

var errNoProjection = errors.New("there is no such read model; GET /admin/v1/projections lists them")

// projection is the newest version of one by its name; nil if there is none.
func (d Domain) projection(name string) (found projection.Projection) {
	newest := 0
	for _, p := range d.Projections {
		if plans, err := plan.Compile(p); err == nil && plans[0].Name == name && plans[0].Version > newest {
			found, newest = p, plans[0].Version
		}
	}
	return found
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // the client has gone
}

// failed answers why something could not be found out. Internals are logged.
func (n *Node) failed(w http.ResponseWriter, r *http.Request, err error) {
	status, code, detail := http.StatusInternalServerError, "internal", "the request could not be carried out"
	var none *reader.NoRowError
	switch {
	case errors.Is(err, errNoSystem):
		status, code, detail = http.StatusNotFound, "not_found", errNoSystem.Error()
	case errors.Is(err, errNoProjection):
		status, code, detail = http.StatusNotFound, "not_found", errNoProjection.Error()
	case errors.Is(err, errNotParked):
		status, code, detail = http.StatusNotFound, "not_found", errNotParked.Error()
	case errors.As(err, &none):
		status, code, detail = http.StatusNotFound, "not_found", none.Error()
	case errors.Is(err, query.ErrNoHistory):
		status, code, detail = http.StatusBadRequest, "malformed_parameter", query.ErrNoHistory.Error()
	case errors.Is(err, query.ErrRebuilding):
		status, code, detail = http.StatusServiceUnavailable, "rebuilding", query.ErrRebuilding.Error()
	case errors.Is(err, query.ErrBusy), errors.Is(err, context.DeadlineExceeded), errors.Is(err, es.ErrUnavailable), postgres.Unreachable(err):
		status, code, detail = http.StatusServiceUnavailable, "unavailable", "the event store or Postgres does not answer in time; ask again"
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	if status == http.StatusInternalServerError {
		n.log.ErrorContext(r.Context(), "request failed", "path", r.URL.Path, "error", err)
	}
	n.domain.refuse(w, r, status, code, detail)
}
