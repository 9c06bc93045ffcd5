package app

import (
	"math"
	"os"
	"runtime/debug"
	"testing"
)

func TestTradeMemory(t *testing.T) {
	percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(math.MaxInt64)
	defer func() { debug.SetGCPercent(percent); debug.SetMemoryLimit(limit) }()
	have := memory()
	if have == 0 {
		t.Skip("SKIP: the memory of this machine is not known")
	}
	t.Setenv("GOMEMLIMIT", "off") // restored afterwards
	t.Setenv("GOGC", "70")
	TradeMemory()
	if got := debug.SetMemoryLimit(-1); got != math.MaxInt64 {
		t.Errorf("a limit of %d was set over what the environment says", got)
	}
	if err := os.Unsetenv("GOGC"); err != nil {
		t.Fatal(err)
	}
	if err := os.Unsetenv("GOMEMLIMIT"); err != nil {
		t.Fatal(err)
	}
	TradeMemory()
	if got := debug.SetMemoryLimit(-1); got != have/2 {
		t.Errorf("the limit is %d of %d bytes", got, have)
	}
	if got := debug.SetGCPercent(100); got != spareCollections {
		t.Errorf("GOGC is %d", got)
	}
}
