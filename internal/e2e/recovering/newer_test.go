package recovering_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// newerProgram builds this program as a later version of it would be: an event, a read model and the tables are a version further.
func newerProgram(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	put := func(file, text string) {
		by := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(by, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay.Replace[filepath.Join(root, file)] = by
	}
	raise := func(file, from, to string) {
		text, err := os.ReadFile(filepath.Join(root, file)) //nolint:gosec // our own
		if err != nil || strings.Count(string(text), from) != 1 {
			t.Fatalf("%s has not one %q: %v", file, from, err)
		}
		put(file, strings.Replace(string(text), from, to, 1))
	}
	raise("events/catalog.go", "es.Define[OrderPlaced](1)", "es.Define[OrderPlaced](2, es.Upcast(1, func(e OrderPlaced) OrderPlaced { return e }))")
	raise("projections/sales/projection.go", `Name: "sales", Version: 2`, `Name: "sales", Version: 3`)
	put("internal/postgres/migrations/99999_newer.sql", "-- +goose Up\ncreate table daybook.newer (id int primary key);\n")
	config, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	file, bin := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "daybook")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "failpoint", "-ldflags", "-s -w -X main.version=9.9.0", "-overlay", file, "-o", bin, "./cmd/daybook") //nolint:gosec // our own
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build a newer program: %v\n%s", err, out)
	}
	return bin
}
