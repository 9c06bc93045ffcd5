package secrets_test

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/internal/secrets"
)

func relayLines(letters string) string {
	var lines strings.Builder
	for _, l := range letters {
		lines.WriteString(base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(l), secrets.KeyBytes))) + "\n")
	}
	return lines.String()
}

// A relay key is changed in three steps, on a machine that signs and one that only verifies. Every other way of changing it is refused
// with the ways out, at start and while it runs.
func TestRelayKeyIsTheOneThatPostgresKnows(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	start := func(file string, signs bool) func() ([][]byte, error) {
		t.Helper()
		read, err := secrets.RelayKeys(filepath.Dir(file))
		if err != nil {
			t.Fatal(err)
		}
		return secrets.KnownRelayKeys(pool, read, signs)
	}
	signing, verifying := filepath.Join(t.TempDir(), "relay.key"), filepath.Join(t.TempDir(), "relay.key")
	write(t, signing, relayLines("a"), 0o600)
	write(t, verifying, relayLines("a"), 0o600)
	signer, verifier := start(signing, true), start(verifying, false)
	takes := func(read func() ([][]byte, error), keys string) {
		t.Helper()
		all, err := read()
		if err != nil {
			t.Fatalf("%s: %v", keys, err)
		}
		var got strings.Builder
		for _, k := range all {
			got.WriteByte(k[0])
		}
		if got.String() != keys {
			t.Fatalf("keys %s, want %s", got.String(), keys)
		}
	}
	refuses := func(read func() ([][]byte, error)) {
		t.Helper()
		all, err := read()
		if !errors.Is(err, secrets.ErrOther) || len(all) > 0 || !strings.Contains(err.Error(), "relay key") ||
			!strings.Contains(err.Error(), "put the former key back") || !strings.Contains(err.Error(), "daybook recover") {
			t.Fatalf("gives %d keys, %v", len(all), err)
		}
	}
	change := func(keys string, files ...string) {
		t.Helper()
		for _, f := range files {
			if err := os.WriteFile(f, []byte(relayLines(keys)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	takes(signer, "a")
	takes(verifier, "a")

	change("b", signing, verifying) // at once
	refuses(signer)
	refuses(verifier)
	refuses(start(signing, true))
	refuses(start(verifying, false))

	change("ab", signing, verifying)
	takes(signer, "ab")
	takes(verifier, "ab")
	change("ba", verifying)
	takes(verifier, "ba") // it does not sign: the old one is still the known one
	change("b", verifying)
	refuses(verifier)
	change("ba", signing, verifying)
	takes(signer, "ba")
	takes(verifier, "ba")
	change("b", signing, verifying)
	takes(verifier, "b")
	takes(signer, "b")
	takes(start(signing, true), "b")
	takes(start(verifying, false), "b")
	change("a", signing)
	refuses(start(signing, true))
}
