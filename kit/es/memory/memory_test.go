package memory_test

import (
	"testing"

	"github.com/daybook-dev/daybook/kit/es/estest"
	"github.com/daybook-dev/daybook/kit/es/memory"
)

func TestStore(t *testing.T) {
	estest.TestStore(t, func(*testing.T) estest.Subject {
		m := memory.New()
		m.Step = 3
		return estest.Subject{Store: m, Log: m, MaxAppend: m.MaxAppend, System: true}
	})
}
