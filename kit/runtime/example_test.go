package runtime_test

import (
	"fmt"
	"net/http"

	"github.com/daybook-dev/daybook/kit/runtime"
)

// A whole domain is examples/hotel.
func Example() {
	d := runtime.Domain{
		Routes: func(*runtime.Services) (http.Handler, error) { return http.NotFoundHandler(), nil },
	}
	fmt.Println(d.Roles())
	cfg := runtime.DefaultConfig("hotel")
	cfg.Listen = "0.0.0.0:8080"
	fmt.Println(cfg.Validate(d.Roles()))
	// Output:
	// [eventstore kafka postgres relay projections sagas reactors api]
	// listen: 0.0.0.0:8080 is reachable from other machines and no keys are configured: listen on 127.0.0.1, or give --allow-anonymous
}
