package eventserver_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestNodeClients drives the official Node clients, where they are installed: NODE_CLIENTS is a directory in which
// npm install @kurrent/kurrentdb-client @eventstore/db-client was run.
func TestNodeClients(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("NODE_CLIENTS")
	if dir == "" {
		t.Skip("the Node clients are not tried: NODE_CLIENTS names no directory where they are installed")
	}
	script, err := filepath.Abs("testdata/node/check.mjs")
	must(t, err)
	for _, client := range [][2]string{{"@eventstore/db-client", "esdb"}, {"@kurrent/kurrentdb-client", "kurrentdb"}} {
		cmd := exec.CommandContext(within(t), "node", script, client[0], client[1], start(t).Addr())
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", client[0], err, out)
		}
		t.Logf("%s", out)
	}
}
