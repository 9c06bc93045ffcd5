package api

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/daybook-dev/daybook/api/openapi"
)

// What an answer that names faults may come to, whatever was sent.
const (
	maxFaults      = 50
	longestToken   = 100 // of a pointer
	longestPointer = 500
	longestDetail  = 500
	endless        = math.MaxInt32
)

// faults gathers what is wrong with a request, up to a number.
type faults struct {
	list []openapi.FieldError
	most int
	more bool // were found, or may be: looking ended
}

func (f *faults) full() bool {
	f.more = f.more || len(f.list) >= f.most
	return f.more
}

func (f *faults) add(pointer, code, format string, args ...any) {
	if f.full() {
		return
	}
	f.list = append(f.list, openapi.FieldError{Pointer: pointer, Code: code, Detail: clip(fmt.Sprintf(format, args...), longestDetail)})
}

// problem is the answer to the caller; nil if nothing is wrong.
func (f *faults) problem() *Problem {
	if len(f.list) == 0 {
		return nil
	}
	p := Invalid(f.list...)
	if f.more {
		p.Detail = fmt.Sprintf("%d fields or more are not valid; these were found first", len(f.list))
	}
	return p
}

// Invalid is the problem of fields that the schema lets through and the business does not.
func Invalid(errs ...openapi.FieldError) *Problem {
	p := NewProblem("validation", "%d fields are not valid", len(errs))
	if len(errs) == 1 {
		p.Detail = "1 field is not valid"
	}
	p.Errors = errs
	slices.SortStableFunc(p.Errors, func(a, b openapi.FieldError) int { return cmp.Compare(a.Pointer, b.Pointer) })
	return p
}

// clip cuts a text that is too long to be repeated.
func clip(s string, longest int) string {
	if len(s) <= longest {
		return s
	}
	for longest > 0 && !utf8.RuneStart(s[longest]) {
		longest--
	}
	return s[:longest] + "…"
}

func escapePointer(token string) string {
	if !strings.ContainsAny(token, "~/\x00") {
		return token
	}
	return strings.NewReplacer("~", "~0", "/", "~1", "\x00", `\u0000`).Replace(token)
}
