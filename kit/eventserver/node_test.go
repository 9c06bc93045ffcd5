package eventserver_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/internal/eventserver/clienttest"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

// TestNodeClients drives the official Node clients against an insecure and a secured server. NODE_CLIENTS is a directory where they
// are installed, or "install": then npm does it, in a directory of the test's own.
func TestNodeClients(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("NODE_CLIENTS")
	if dir == "" {
		t.Skip("the Node clients are not tried: NODE_CLIENTS names no directory where they are installed, and is not install")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if dir == "install" {
		dir = t.TempDir()
		npm := exec.CommandContext(ctx, "npm", "install", "--no-audit", "--no-fund", "--prefix", dir, "@kurrent/kurrentdb-client@1.3.1", "@eventstore/db-client@6.2.1")
		if out, err := npm.CombinedOutput(); err != nil {
			t.Fatalf("npm install: %v\n%s", err, out)
		}
	}
	script, err := filepath.Abs("testdata/node/check.mjs")
	clienttest.Must(t, err)
	cert, key, _ := certificate(t)
	insecure, secure := start(t), start(t, func(cfg *eventserver.Config) { cfg.CertFile, cfg.KeyFile = cert, key })
	// The one cannot do without knowing whom to trust, the other takes no certificate that vouches for itself.
	for _, client := range [][3]string{{"@eventstore/db-client", "esdb", "&tlsCaFile=" + cert}, {"@kurrent/kurrentdb-client", "kurrentdb", "&tlsVerifyCert=false"}} {
		for _, connection := range []string{insecure.Addr() + "?tls=false", "admin:changeit@" + local(t, secure) + "?tls=true" + client[2]} {
			cmd := exec.CommandContext(ctx, "node", script, client[0], client[1], connection)
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%s: %v\n%s", client[0], err, out)
			}
			t.Logf("%s", out)
		}
	}
}
