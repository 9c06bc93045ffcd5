package api

import (
	"net/http"
	"time"

	"github.com/daybook-dev/daybook/internal/shop"
)

// maxWait bounds Prefer: wait.
const maxWait = 30 * time.Second

// Within is the longest that a request may take, wherever it goes. A stream's is that until it begins.
func Within(r *http.Request) time.Duration { return within(r, true) }

// within is how long a request may take, if it may ask to wait.
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
