package api

import (
	"net/http"
	"time"

	"github.com/daybook-dev/daybook/internal/shop"
)

// maxWait limits Prefer: wait.
const maxWait = 30 * time.Second

// Within is the most that any operation may take for a request. For a stream it is the time until the answer begins.
func Within(r *http.Request) time.Duration { return within(r, true) }

// within is the time limit of a request. waits: the operation takes Prefer.
func within(r *http.Request, waits bool) time.Duration {
	if Reads(r.Method) {
		return shop.QueryWithin
	}
	if !waits {
		return shop.CommandWithin
	}
	wait, _ := Wait(r.Header)
	return shop.CommandWithin + wait
}
