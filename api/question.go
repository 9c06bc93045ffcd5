package api

import (
	"net/url"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/daybook-dev/daybook/internal/shop"
	"github.com/daybook-dev/daybook/kit/es"
	"github.com/daybook-dev/daybook/kit/projection/query"
)

// readQuestion reads the parameters that queries share: minimum position, moment and page.
func readQuestion(op *operation, c echo.Context, r *Request) (err error) {
	if op.side != Queries {
		return nil
	}
	if r.Ask, err = askOf(c.QueryParams()); err != nil {
		return err
	}
	r.Page, err = pageOf(c.QueryParams())
	return err
}

func askOf(query url.Values) (ask query.Ask, err error) {
	if query.Has("min_position") {
		if ask.MinPosition, err = strconv.ParseUint(query.Get("min_position"), 10, 63); err != nil {
			return ask, NewProblem("malformed_parameter", "min_position is not a Daybook-Position").At("min_position", "format", "is too large")
		}
	}
	if ask.AsOf, err = momentOf(query, "as_of"); err != nil {
		return ask, err
	}
	ask.KnownAt, err = momentOf(query, "known_at")
	return ask, err
}

func momentOf(query url.Values, name string) (*time.Time, error) {
	if !query.Has(name) {
		return nil, nil //nolint:nilnil // now
	}
	return ParseMoment(name, query.Get(name))
}

// ParseMoment reads a parameter that is a time.
func ParseMoment(name, text string) (*time.Time, error) {
	t, err := ParseTime(text)
	if err != nil || t.UTC().Year() < 1 {
		return nil, NewProblem("bad_time", "%s is not an RFC 3339 time", name).At(name, "format", "must look like 2026-01-31T12:00:00Z")
	}
	return new(es.Micro(t)), nil
}

func pageOf(query url.Values) (page shop.Page, err error) {
	if query.Has("cursor") {
		page.Cursor = new(query.Get("cursor"))
	}
	if query.Has("limit") {
		if page.Limit, err = strconv.Atoi(query.Get("limit")); err != nil {
			return page, NewProblem("malformed_parameter", "limit is not a number").At("limit", "format", "is too large")
		}
	}
	return page, nil
}
