package eventserver

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/daybook-dev/daybook/internal/eventserver/store"
)

// failure is an error as clients see it: a gRPC status, and trailers by which they tell the kinds apart.
type failure struct {
	code     codes.Code
	text     string
	trailers []string // name, value, ...
}

func (f *failure) Error() string { return f.text }

// GRPCStatus lets grpc send it.
func (f *failure) GRPCStatus() *status.Status { return status.New(f.code, f.text) }

const trailerException = "exception"

func invalid(format string, args ...any) *failure {
	return &failure{code: codes.InvalidArgument, text: fmt.Sprintf(format, args...)}
}

func streamDeleted(stream string) *failure {
	return &failure{codes.FailedPrecondition, fmt.Sprintf("Event stream '%s' is deleted.", stream),
		[]string{trailerException, "stream-deleted", "stream-name", stream}}
}

// wrongVersion is worded as EventStoreDB words it: some clients read the text.
func wrongVersion(e *store.WrongVersionError) *failure {
	return &failure{codes.FailedPrecondition, wrongVersionText(e),
		[]string{trailerException, "wrong-expected-version", "stream-name", e.Stream,
			"expected-version", strconv.FormatInt(int64(e.Expected), 10), "actual-version", strconv.FormatInt(e.Current, 10)}}
}

func wrongVersionText(e *store.WrongVersionError) string {
	return fmt.Sprintf("Append failed due to WrongExpectedVersion. Stream: %s, Expected version: %d, Actual version: %d",
		e.Stream, e.Expected, e.Current)
}

func tooLarge(limit int) *failure {
	return &failure{codes.InvalidArgument, fmt.Sprintf("Maximum Append Size of %d Exceeded.", limit),
		[]string{trailerException, "maximum-append-size-exceeded", "maximum-append-size", strconv.Itoa(limit)}}
}

func missingProperty(name string) *failure {
	return &failure{codes.InvalidArgument, "Required Metadata Property '" + name + "' is missing",
		[]string{trailerException, "missing-required-metadata-property", "required-metadata-properties", "type,content-type"}}
}

// failureOf turns what the store says into what clients understand.
func failureOf(stream string, err error) *failure {
	var f *failure
	var wrong *store.WrongVersionError
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &wrong):
		return wrongVersion(wrong)
	case errors.Is(err, store.ErrDeleted):
		return streamDeleted(stream)
	case errors.Is(err, store.ErrInvalid):
		return &failure{code: codes.InvalidArgument, text: err.Error()}
	case errors.Is(err, store.ErrDeadline), errors.Is(err, context.DeadlineExceeded):
		return &failure{code: codes.DeadlineExceeded, text: err.Error()}
	case errors.Is(err, context.Canceled):
		return &failure{code: codes.Canceled, text: err.Error()}
	case errors.Is(err, store.ErrUnknown):
		return &failure{code: codes.Aborted, text: err.Error()}
	case errors.Is(err, store.ErrFull):
		return &failure{code: codes.ResourceExhausted, text: err.Error()}
	case errors.Is(err, store.ErrReadOnly), errors.Is(err, store.ErrClosed):
		return &failure{code: codes.Unavailable, text: err.Error()}
	case errors.Is(err, store.ErrCorrupt):
		return &failure{code: codes.DataLoss, text: err.Error()}
	}
	return &failure{code: codes.Internal, text: err.Error()}
}

// trailerSetter is a call that can still set trailers.
type trailerSetter interface{ SetTrailer(metadata.MD) }

// end makes an error the end of a call.
func end(t trailerSetter, err error) error {
	if f, ok := errors.AsType[*failure](err); ok {
		if len(f.trailers) > 0 {
			t.SetTrailer(metadata.Pairs(printable(f.trailers)...))
		}
		return f.GRPCStatus().Err()
	}
	return err
}

// printable writes what a trailer cannot hold as %XX: grpc would leave all trailers out.
func printable(values []string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		var b strings.Builder
		for _, c := range []byte(v) {
			if c >= ' ' && c <= '~' {
				b.WriteByte(c)
			} else {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		}
		out[i] = b.String()
	}
	return out
}
