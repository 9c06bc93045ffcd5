package app

import (
	"context"
	"net/http"

	"github.com/daybook-dev/daybook/api"
	"github.com/daybook-dev/daybook/internal/failpoint"
	"github.com/daybook-dev/daybook/reactors/paymentprovider"
)

// crashing marks the moments around calls that may move money, at which tests kill the process.
type crashing struct{ paymentprovider.Provider }

func (c crashing) Authorise(ctx context.Context, r paymentprovider.Request) paymentprovider.Answer {
	return around(ctx, c.Provider.Authorise, r)
}

func (c crashing) Void(ctx context.Context, r paymentprovider.Request) paymentprovider.Answer {
	return around(ctx, c.Provider.Void, r)
}

func around(ctx context.Context, call func(context.Context, paymentprovider.Request) paymentprovider.Answer, r paymentprovider.Request) paymentprovider.Answer {
	failpoint.Hit(failpoint.ProviderCallBefore)
	a := call(ctx, r)
	failpoint.Hit(failpoint.ProviderCallAfter)
	return a
}

// acknowledging marks the moments around the answer to a command.
func acknowledging(next http.Handler) http.Handler {
	if !failpoint.Armed {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if api.Reads(r.Method) {
			next.ServeHTTP(w, r)
			return
		}
		a := &answer{ResponseWriter: w}
		next.ServeHTTP(a, r)
		if a.status < http.StatusBadRequest {
			failpoint.Hit(failpoint.AckAfter)
		}
	})
}

// answer is one about to be written.
type answer struct {
	http.ResponseWriter

	status int
}

func (a *answer) WriteHeader(status int) {
	if a.status = status; status < http.StatusBadRequest {
		failpoint.Hit(failpoint.AckBefore)
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
