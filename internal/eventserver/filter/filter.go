// Package filter decides which events of $all a reader asked for: by stream or type, by prefixes or by a regular
// expression as .NET knows them (unanchored, with look-ahead), which Go's regexp cannot compile.
package filter

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/dlclark/regexp2"
)

// Filter tells wanted events from others. It may be used from several goroutines.
type Filter struct {
	byType   bool
	prefixes [][]byte
	regex    *regexp2.Regexp
	noSystem bool // the expression says no more than: does not begin with '$'
}

const (
	maxExpression = 16 << 10
	maxPrefixes   = 10_000
	matchTimeout  = time.Second
)

// New compiles a filter by event type or, with byType false, by stream name.
func New(byType bool, regex string, prefixes []string) (*Filter, error) {
	f := &Filter{byType: byType}
	if len(prefixes) > 0 {
		if len(prefixes) > maxPrefixes {
			return nil, fmt.Errorf("filter has %d prefixes, the limit is %d", len(prefixes), maxPrefixes)
		}
		for _, p := range prefixes {
			f.prefixes = append(f.prefixes, []byte(p))
		}
		return f, nil
	}
	switch {
	case regex == "":
		return nil, errors.New("filter has neither prefixes nor a regular expression")
	case len(regex) > maxExpression:
		return nil, fmt.Errorf("filter's regular expression has %d bytes, the limit is %d", len(regex), maxExpression)
	case regex == `^[^\$].*`, regex == `^[^$].*`, regex == `^[^\$]`, regex == `^[^$]`:
		f.noSystem = true // the official clients' "no system events", at a fraction of the cost
		return f, nil
	}
	re, err := regexp2.Compile(regex, regexp2.None)
	if err != nil {
		return nil, fmt.Errorf("filter's regular expression: %w", err)
	}
	re.MatchTimeout = matchTimeout
	f.regex = re
	return f, nil
}

// Match tells whether an event is wanted. An expression that takes too long on a name is an error.
func (f *Filter) Match(stream, eventType []byte) (bool, error) {
	name := stream
	if f.byType {
		name = eventType
	}
	switch {
	case f.noSystem:
		return len(name) > 0 && name[0] != '$', nil
	case f.regex != nil:
		ok, err := f.regex.MatchString(string(name))
		if err != nil {
			return false, fmt.Errorf("filter's regular expression on %q: %w", name, err)
		}
		return ok, nil
	}
	for _, p := range f.prefixes {
		if bytes.HasPrefix(name, p) {
			return true, nil
		}
	}
	return false, nil
}
