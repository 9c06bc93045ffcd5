// Package e2e tests the whole system as its users meet it: the program, over HTTP and the command line.
package e2e

import (
	"testing"

	"github.com/daybook-dev/daybook/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }
