package store

import (
	"math"
	"testing"
	"time"
)

// TestLimits: a stream's limits are read as EventStoreDB reads them. One that cannot be understood makes the whole metadata say nothing.
func TestLimits(t *testing.T) {
	t.Parallel()
	none := Limits{}
	for data, want := range map[string]Limits{
		`{"$maxCount":3,"$maxAge":7,"$tb":2}`:                  {MaxCount: 3, MaxAge: 7 * time.Second, TruncateBefore: 2},
		`{"$tb":9223372036854775807}`:                          {TruncateBefore: math.MaxInt64},
		`{"other":{"$tb":5},"list":[{"$tb":6}],"$maxCount":1}`: {MaxCount: 1},
		"\xef\xbb\xbf{\"$tb\":5}":                              {TruncateBefore: 5},
		`{"$tb":1,"$tb":5}`:                                    {TruncateBefore: 5},
		`{"$maxAge":9223372036854775807}`:                      {MaxAge: time.Duration(longestAge) * time.Second},
		`{"$cacheControl":5,"$tmp":true,"$tb":5}`:              {TruncateBefore: 5},
		// Names are exact.
		`{"$TB":5,"$MaxCount":1,"$maxcount":1,"$MAXAGE":1}`: none,
		`{"$maxCount":3,"$MAXCOUNT":1}`:                     {MaxCount: 3},
		// What is below zero is no limit.
		`{"$maxCount":-1,"$maxAge":-1,"$tb":-1}`:   none,
		`{"$maxCount":0,"$maxAge":0,"$tb":0}`:      none,
		`{"$maxCount":-1,"$tb":5}`:                 {TruncateBefore: 5},
		`{"$maxCount":null,"$tb":5}`:               none,
		`{"$maxCount":"3","$tb":5}`:                none,
		`{"$maxCount":3.5,"$tb":5}`:                none,
		`{"$maxCount":1e3,"$tb":5}`:                none,
		`{"$maxCount":9223372036854775808}`:        none,
		`{"$tb":5,"$tmp":"yes"}`:                   none,
		`{"$tb":5,"$cacheControl":"for a minute"}`: none,
		`{"$tb":5`:    none,
		`[{"$tb":5}]`: none,
		`"$tb"`:       none,
		``:            none,
	} {
		if got := parseLimits(true, []byte(data)); got != want {
			t.Errorf("%s: %+v, want %+v", data, got, want)
		}
	}
	if got := parseLimits(false, []byte(`{"$tb":5}`)); got != none {
		t.Errorf("metadata that is not JSON: %+v", got)
	}
}
