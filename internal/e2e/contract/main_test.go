package contract_test

import (
	"testing"

	"github.com/daybook-dev/daybook/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }
