package testenv

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// Address is a loopback address that nobody listens on, outside of the range from which connections take theirs.
func Address(t testing.TB) string {
	t.Helper()
	for range 100 {
		at := net.JoinHostPort("127.0.0.1", strconv.Itoa(20000+rand.IntN(10000)))
		if l, err := net.Listen("tcp", at); err == nil {
			_ = l.Close()
			return at
		}
	}
	t.Fatal("no free port")
	return ""
}

// AnyPorts keeps the embedded servers of several systems out of each other's way.
func AnyPorts() []string {
	var args []string
	for _, s := range []string{"eventstore", "kafka", "postgres", "simulator"} {
		args = append(args, "--"+s+"-listen", "127.0.0.1:0")
	}
	return args
}
