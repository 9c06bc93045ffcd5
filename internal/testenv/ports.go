package testenv

import (
	"testing"

	"github.com/daybook-dev/daybook/internal/testenv/ports"
)

// Address is a loopback address for a server that is started later. It is no other test's until this one ends.
func Address(t testing.TB) string {
	t.Helper()
	return ports.Address(t)
}

// AnyPorts keeps the embedded servers of several systems out of each other's way.
func AnyPorts() []string {
	var args []string
	for _, s := range []string{"eventstore", "kafka", "postgres", "simulator"} {
		args = append(args, "--"+s+"-listen", "127.0.0.1:0")
	}
	return args
}
