package api

import (
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-dev/daybook/kit/es"
)

func lines(name string, values ...string) http.Header {
	h := http.Header{}
	for _, v := range values {
		h.Add(name, v)
	}
	return h
}

func TestPreferencesOfAllLinesCount(t *testing.T) {
	for _, c := range []struct {
		lines []string
		want  time.Duration
		ok    bool
	}{
		{nil, 0, false}, {[]string{""}, 0, false}, {[]string{"wait=5"}, 5 * time.Second, true}, {[]string{"Wait = \"5\""}, 5 * time.Second, true},
		{[]string{"respond-async", "wait=5"}, 5 * time.Second, true}, {[]string{"respond-async, wait=5; a=b"}, 5 * time.Second, true},
		{[]string{"wait=5", "wait=9"}, 5 * time.Second, true}, {[]string{`other="a, wait=9", wait=5`}, 5 * time.Second, true},
		{[]string{`other="a;wait=9"`}, 0, false}, {[]string{"other; wait=9"}, 0, false}, {[]string{"wait=-1"}, 0, false}, {[]string{"wait=many"}, 0, false},
		{[]string{"wait=3000"}, maxWait, true}, {[]string{"wait=99999999999"}, 0, false}, {[]string{", ,wait=5,"}, 5 * time.Second, true},
	} {
		if wait, ok := Wait(lines("Prefer", c.lines...)); wait != c.want || ok != c.ok {
			t.Errorf("%q: %s %v", c.lines, wait, ok)
		}
	}
}

func TestConditionsAreListsOfTags(t *testing.T) {
	for _, c := range []struct {
		lines []string
		want  *es.Condition
		bad   bool
	}{
		{nil, nil, false}, {[]string{"*"}, &es.Condition{Any: true}, false}, {[]string{`"3-17"`}, es.At(3), false},
		{[]string{`"3-17", "5-20"`}, &es.Condition{Revisions: []uint64{3, 5}}, false}, {[]string{`"3-17"`, `"5-20"`}, &es.Condition{Revisions: []uint64{3, 5}}, false},
		{[]string{`W/"3-17"`}, &es.Condition{}, false}, {[]string{`W/"3-17", "5-20"`}, es.At(5), false}, {[]string{`"abc"`}, &es.Condition{}, false},
		{[]string{`"a,b"`}, &es.Condition{}, false}, {[]string{`""`}, &es.Condition{}, false},
		{[]string{""}, nil, true}, {[]string{"3-17"}, nil, true}, {[]string{`"3-17`}, nil, true}, {[]string{`*, "3-17"`}, nil, true}, {[]string{`w/"3-17"`}, nil, true},
	} {
		got, err := ifMatch(lines("If-Match", c.lines...))
		if d := cmp.Diff(c.want, got); d != "" || (err != nil) != c.bad {
			t.Errorf("%q: %v %s", c.lines, err, d)
		}
	}
}

func TestKeysAreQuotedOrBare(t *testing.T) {
	for _, c := range []struct {
		lines []string
		want  string
		bad   bool
	}{
		{nil, "", false}, {[]string{"k"}, "k", false}, {[]string{`"k"`}, "k", false}, {[]string{`"a\"b\\c"`}, `a"b\c`, false}, {[]string{`""`}, "", false},
		{[]string{" k "}, "k", false}, {[]string{`k"k`}, `k"k`, false}, {[]string{strings.Repeat("ü", 255)}, strings.Repeat("ü", 255), false},
		{[]string{"k", "k"}, "", true}, {[]string{`"k`}, "", true}, {[]string{`"k" x`}, "", true}, {[]string{`"`}, "", true}, {[]string{strings.Repeat("k", 256)}, "", true},
		{[]string{`"` + strings.Repeat("k", 255) + `"`}, strings.Repeat("k", 255), false}, {[]string{`"` + strings.Repeat("k", 256) + `"`}, "", true},
	} {
		if got, err := idempotencyKey(lines("Idempotency-Key", c.lines...)); got != c.want || (err != nil) != c.bad {
			t.Errorf("%q: %q %v", c.lines, got, err)
		}
	}
}

func TestContentIsJSONInUTF8(t *testing.T) {
	for value, want := range map[string]int{
		"application/json": 200, "Application/Json": 200, `application/json; charset="UTF-8"`: 200, "application/json;charset=utf-8": 200, "APPLICATION/JSON ; Charset=Utf-8": 200,
		"application/json; charset=utf-16": 415, "application/json; charset=iso-8859-1": 415, "application/json; charset=": 415, "text/plain": 415, "text/json": 415,
		"application/jsonp": 415, "application/merge-patch+json": 415, "": 415, "application/json, application/json": 415, "application/x-www-form-urlencoded": 415,
	} {
		if err := checkContent(lines("Content-Type", value), false); err == nil != (want == 200) || err != nil && AsProblem(err).Status != want {
			t.Errorf("%q: %v", value, err)
		}
	}
	for _, c := range []struct {
		h     http.Header
		empty bool
		want  int
	}{
		{http.Header{}, true, 200}, {http.Header{}, false, 415}, {lines("Content-Type", "text/plain"), true, 415}, {lines("Content-Type", ""), true, 200}, {lines("Content-Type", ""), false, 415},
		{lines("Content-Type", "application/json"), true, 200}, {lines("Content-Type", "application/json", "text/plain"), false, 400},
	} {
		if err := checkContent(c.h, c.empty); err == nil != (c.want == 200) || err != nil && AsProblem(err).Status != c.want {
			t.Errorf("%v, empty %v: %v", c.h, c.empty, err)
		}
	}
	for value, taken := range map[string]bool{"identity": true, "Identity": true, "": true, "gzip": false, "identity, gzip": false, "br": false, "deflate": false} {
		h := lines("Content-Encoding", value)
		h.Set("Content-Type", "application/json")
		err := checkContent(h, false)
		if (err == nil) != taken || err != nil && (AsProblem(err).Status != 415 || AsProblem(err).Header.Get("Accept-Encoding") != "identity") {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func TestAcceptExcludesOrNot(t *testing.T) {
	for value, want := range map[string]bool{
		"": true, "*/*": true, "application/json": true, "Application/*;q=0.1": true, "text/html, application/json;q=0.9": true, "text/html,*/*;q=0.8": true,
		"text/html, image/gif, *; q=.2, */*; q=.2": true, "application/json;charset=utf-8": true,
		"text/html": false, "text/*, image/*": false, "application/json;q=0": false, "*/*, application/json;q=0": false, "application/*;q=0, */*": false, "application/xml": false,
	} {
		if got := accepts(lines("Accept", value), []string{"application/json"}); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
}

func TestTimesAreRFC3339(t *testing.T) {
	for text, want := range map[string]string{
		"2011-01-01T00:00:00Z": "2011-01-01T00:00:00Z", "2011-01-01t00:00:00z": "2011-01-01T00:00:00Z", "2011-01-01T01:00:00.5+01:00": "2011-01-01T00:00:00.5Z",
		"2016-12-31T23:59:60Z": "2017-01-01T00:00:00Z", "2017-01-01T00:59:60+01:00": "2017-01-01T00:00:00Z", "2016-12-31T23:59:60.5Z": "2017-01-01T00:00:00Z",
		"2011-01-01T00:00:00-00:00": "2011-01-01T00:00:00Z", "2011-01-01T00:00:00.123456789123Z": "2011-01-01T00:00:00.123456789Z",
		"2011-01-01T00:00:00,5Z": "", "2011-01-01T12:30:60Z": "", "2011-01-01 00:00:00Z": "", "2011-01-01T00:00:00": "", "2011-01-01": "", "2011-1-1T00:00:00Z": "",
		"2011-01-01T0:00:00Z": "", "2011-01-01T24:00:00Z": "", "2011-02-29T00:00:00Z": "", "2011-01-01T00:00:00+24:00": "", "2011-01-01T00:00:00+0100": "", "yesterday": "",
		"2011-01-01T00:00:00.Z": "", "+2011-01-01T00:00:00Z": "", "2011-01-01T00:00:61Z": "", "2011-01-01T00:00:00Z ": "", "": "",
	} {
		got, err := ParseTime(text)
		if (err == nil) != (want != "") || err == nil && got.UTC().Format(time.RFC3339Nano) != want {
			t.Errorf("%q: %s %v", text, got, err)
		}
	}
	if _, wrong := parseTime("2011-01-01T00:00:00 01:00"); !strings.Contains(wrong, "%2B") {
		t.Errorf("a + that became a blank: %s", wrong)
	}
}

// No header breaks a reader of it, and what is taken is what it says it is.
func FuzzHeaders(f *testing.F) {
	for _, s := range []string{"", "*", `"1-2"`, `W/"1-2", "3-4"`, "wait=5", `a="b\"c,d", wait=3`, "application/json; charset=utf-8", "*/*;q=0.1, text/html", "2016-12-31T23:59:60Z", `"k\\"`, "\x00", "\xff", `"`} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		two := func(name string) http.Header { return lines(name, a, b) }
		if wait, ok := Wait(two("Prefer")); wait < 0 || wait > maxWait || !ok && wait != 0 {
			t.Errorf("wait %s", wait)
		}
		_, _ = ifMatch(two("If-Match"))
		if c, err := ifMatch(lines("If-Match", a)); err == nil && c.Any && len(c.Revisions) > 0 {
			t.Errorf("%+v", c)
		}
		if key, err := idempotencyKey(lines("Idempotency-Key", a)); err == nil && utf8.RuneCountInString(key) > longestKey {
			t.Errorf("a key of %d characters", utf8.RuneCountInString(key))
		}
		if _, err := idempotencyKey(two("Idempotency-Key")); err == nil {
			t.Error("two keys were taken")
		}
		_ = checkContent(two("Content-Encoding"), true)
		_ = checkContent(lines("Content-Type", a), false)
		_ = accepts(two("Accept"), []string{"application/json"})
		if at, wrong := parseTime(a); wrong == "" && at.IsZero() && !strings.HasPrefix(a, "0001-01-01") {
			t.Errorf("%q is no time", a)
		}
	})
}
