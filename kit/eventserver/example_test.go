package eventserver_test

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/daybook-dev/daybook/kit/eventserver"
)

func Example() {
	dir, err := os.MkdirTemp("", "events")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	s, err := eventserver.Start(context.Background(), eventserver.Config{Dir: dir})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(strings.HasPrefix(s.ConnectionString(), "esdb://127.0.0.1:")) // for clients of EventStoreDB
	fmt.Println(s.Close())
	// Output:
	// true
	// <nil>
}
