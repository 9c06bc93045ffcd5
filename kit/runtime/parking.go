package runtime

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/daybook-dev/daybook/internal/operation"
	"github.com/daybook-dev/daybook/internal/reader"
	"github.com/daybook-dev/daybook/kit/es"
)

// ParkedRows is the answer to GET /admin/v1/parked.
type ParkedRows struct {
	Complete bool        `json:"complete"`
	Items    []ParkedRow `json:"items"`
}

// ParkedRow is a row of a read model whose events wait behind one that failed, or all rows of a key.
type ParkedRow struct {
	ID         string    `json:"id"`
	Projection string    `json:"projection"`
	Version    int       `json:"version"`
	Serves     bool      `json:"serves"`
	Partition  int       `json:"partition"`
	Key        string    `json:"key"`
	Suffix     string    `json:"suffix"`
	Whole      bool      `json:"whole"`
	Position   string    `json:"position"`
	Stream     string    `json:"stream"`
	Type       string    `json:"type"`
	Error      string    `json:"error"`
	Waiting    int       `json:"waiting"`
	Since      time.Time `json:"since"`
	Reached    string    `json:"reached"`
}

// Operation is the answer to an action of an operator: where it is recorded.
type Operation struct {
	ID       string `json:"id"`
	Position string `json:"position"`
}

const (
	parkedShown  = 1000
	parkedSought = 100_000
	longestBody  = 64 << 10
	longestWhy   = 500 // characters of a reason
)

// parkedID names what is parked: the same in every build that has parked it at the same event.
func parkedID(p reader.Parked) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %t %d", p.Projection, p.Key, p.Suffix, p.Whole, p.Position))
	return hex.EncodeToString(sum[:6])
}

// onLoopback refuses what is for callers of this machine, for they give no credentials.
func (n *Node) onLoopback(w http.ResponseWriter, r *http.Request, what string) bool {
	if host, _, err := net.SplitHostPort(n.cfg.AdminListen); err != nil || !loopback(host) {
		n.domain.refuse(w, r, http.StatusForbidden, "loopback_only", what+" on loopback only, for callers give no credentials; this process has --admin-listen "+n.cfg.AdminListen)
		return false
	}
	return true
}

// listParked serves GET /admin/v1/parked.
func (n *Node) listParked(w http.ResponseWriter, r *http.Request) {
	if !n.onLoopback(w, r, "rows are shown") {
		return
	}
	given, err := url.ParseQuery(r.URL.RawQuery)
	for name, values := range given {
		if name != "projection" || len(values) > 1 {
			err = errors.New("the only parameter is projection, once")
		}
	}
	if err != nil {
		n.domain.refuse(w, r, http.StatusBadRequest, "malformed_parameter", err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	all, more, err := n.parked(ctx, given.Get("projection"), parkedShown)
	if err != nil {
		n.failed(w, r, err)
		return
	}
	out := ParkedRows{Complete: !more, Items: make([]ParkedRow, len(all))}
	for i, p := range all {
		out.Items[i] = ParkedRow{
			ID: parkedID(p), Projection: p.Projection, Version: p.Version, Serves: p.Serves, Partition: p.Partition, Key: p.Key, Suffix: p.Suffix, Whole: p.Whole,
			Position: strconv.FormatUint(p.Position, 10), Stream: p.Stream, Type: p.Type, Error: p.Error, Waiting: p.Waiting, Since: p.Since, Reached: strconv.FormatUint(p.Reached, 10),
		}
	}
	answer(w, out)
}

func (n *Node) parked(ctx context.Context, projection string, limit int) ([]reader.Parked, bool, error) {
	if n.system == nil {
		return nil, false, errNoSystem
	}
	if projection != "" && n.domain.projection(projection) == nil {
		return nil, false, errNoProjection
	}
	return n.system.Reader.Parked(ctx, projection, limit)
}

// retryParked serves POST /admin/v1/parked/{id}/retry.
func (n *Node) retryParked(w http.ResponseWriter, r *http.Request) {
	n.operate(w, r, false, func(p reader.Parked, _ string) (es.UUID, es.Event) {
		return es.DerivedID(es.UUID{}, "retry", p.Row, p.Position, p.Reached), operation.RowRetried{Row: p.Row}
	})
}

// skipParked serves POST /admin/v1/parked/{id}/skip.
func (n *Node) skipParked(w http.ResponseWriter, r *http.Request) {
	n.operate(w, r, true, func(p reader.Parked, reason string) (es.UUID, es.Event) {
		return es.DerivedID(es.UUID{}, "skip", p.Row, p.Position), operation.RowSkipped{Row: p.Row, Position: p.Position, Reason: reason}
	})
}

// operate records an operation on something that is parked. Two at the same moment are one.
func (n *Node) operate(w http.ResponseWriter, r *http.Request, reasoned bool, what func(reader.Parked, string) (es.UUID, es.Event)) {
	if !n.onLoopback(w, r, "rows are acted on") {
		return
	}
	reason, err := readReason(http.MaxBytesReader(w, r.Body, longestBody), reasoned)
	if err != nil {
		n.domain.refuse(w, r, http.StatusBadRequest, "malformed_request", err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	p, err := n.parkedOf(ctx, r.PathValue("id"))
	if err != nil {
		n.failed(w, r, err)
		return
	}
	id, e := what(p, reason)
	position, err := operation.Record(ctx, n.system.Store, n.system.Catalog, es.AnyStreamID(p.Stream), id, e)
	if err != nil {
		n.failed(w, r, err)
		return
	}
	n.log.InfoContext(r.Context(), "an operator acts on a parked row", "event", e.EventType(), "projection", p.Projection, "key", p.Key, "suffix", p.Suffix, "position", p.Position)
	answer(w, Operation{r.PathValue("id"), strconv.FormatUint(position, 10)})
}

// parkedOf finds what is parked by its id: in the build that is least far, of several.
func (n *Node) parkedOf(ctx context.Context, id string) (found reader.Parked, err error) {
	all, _, err := n.parked(ctx, "", parkedSought)
	if err != nil {
		return found, err
	}
	all = slices.DeleteFunc(all, func(p reader.Parked) bool { return parkedID(p) != id })
	if len(all) == 0 {
		return found, errNotParked
	}
	return slices.MinFunc(all, func(a, b reader.Parked) int { return cmp.Compare(a.Reached, b.Reached) }), nil
}

var errNotParked = errors.New("nothing with this id is parked; GET /admin/v1/parked lists what is")

// readReason reads the body of an operation. A retry needs none.
func readReason(body io.Reader, needed bool) (string, error) {
	raw, err := io.ReadAll(body)
	if err != nil {
		return "", errors.New("the body cannot be read, or is longer than 64 KiB")
	}
	if len(raw) == 0 && !needed {
		return "", nil
	}
	var given struct {
		Reason string `json:"reason"`
	}
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.DisallowUnknownFields()
	if d.Decode(&given) != nil || d.More() {
		return "", errors.New(`the body must be a JSON object with the member "reason" at most`)
	}
	reason := strings.TrimSpace(given.Reason)
	switch {
	case needed && reason == "":
		return "", errors.New("a reason is required: say why the event is left out")
	case utf8.RuneCountInString(reason) > longestWhy, strings.ContainsRune(reason, 0):
		return "", fmt.Errorf("a reason has at most %d characters, and no U+0000", longestWhy)
	}
	return reason, nil
}
