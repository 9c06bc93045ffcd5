package api

import (
	"net/http"
	"time"
)

// What a request may take before it is answered that it could not be carried out, besides what it asks to wait for.
const (
	// CommandWithin bounds a command: beyond it the outcome is unknown to the caller, who may repeat it.
	CommandWithin = 15 * time.Second
	// QueryWithin bounds a query, and a stream until it begins.
	QueryWithin = 10 * time.Second
	// maxWait bounds Prefer: wait.
	maxWait = 30 * time.Second
)

// Within is the longest that a request may take, wherever it goes. A stream's is that until it begins.
func Within(r *http.Request) time.Duration { return within(r, true) }

// within is how long a request may take, if it may ask to wait.
func within(r *http.Request, waits bool) time.Duration {
	if Reads(r.Method) {
		return QueryWithin
	}
	if !waits {
		return CommandWithin
	}
	wait, _ := Wait(r.Header)
	return CommandWithin + wait
}
