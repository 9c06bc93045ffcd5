package api

import (
	"regexp"
	"strings"
	"time"
)

var (
	rfc3339 = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$`)
	// blanked is a time whose + was taken for a blank, as in every query string.
	blanked = regexp.MustCompile(`^[^ ]+:\d{2}(\.\d+)? \d{2}:\d{2}$`)
)

// ParseTime reads an RFC 3339 time, as that says it: t and z may be small, and the sixtieth second of a minute may be there where
// the last one of a day can be (it is the first of the next day to us). What Go's own parser takes besides is refused.
func ParseTime(s string) (time.Time, error) {
	t, wrong := parseTime(s)
	if wrong != "" {
		return t, NewProblem("bad_time", "it is not an RFC 3339 time: it %s", wrong)
	}
	return t, nil
}

func parseTime(s string) (t time.Time, wrong string) {
	const like = "must look like 2026-01-31T12:00:00Z"
	switch {
	case blanked.MatchString(s):
		return t, like + "; a + in a query string is written %2B"
	case !rfc3339.MatchString(s):
		return t, like
	}
	s = strings.ToUpper(s)
	leap := s[17:19] == "60"
	if leap {
		s = s[:17] + "59" + s[19:]
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return t, like + ": there is no such day or hour"
	}
	if leap {
		if u := t.UTC(); u.Hour() != 23 || u.Minute() != 59 {
			return t, like + ": a minute has a sixtieth second at the end of a day in UTC only"
		}
		t = t.Truncate(time.Second).Add(time.Second)
	}
	return t, ""
}
