// Package floors holds the architecture to its floors: a package imports only from lower floors.
package floors

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/daybook-dev/daybook"

// floor of a package, by its path in the module.
func floor(pkg string) int {
	top, _, _ := strings.Cut(pkg, "/")
	switch {
	case false:
		return -1
	case pkg == "kit/es":
		return 0
	case slices.Contains([]string{"kit/es/estest", "kit/iso", "kit/text", "kit/saga", "kit/saga/sagatest", "kit/projection", "kit/projection/projectiontest"}, pkg):
		return 1
	case top == "events":
		return 2
	case top == "commands", top == "projections":
		return 3
	case top == "sagas":
		return 4
	case pkg == "internal/app":
		return 6
	case pkg == "internal/testenv/apachekafka", pkg == "internal/testenv/output", pkg == "internal/testenv/ports":
		return 5
	case top == "cmd", pkg == "deploy", strings.HasPrefix(pkg, "internal/e2e"), strings.HasPrefix(pkg, "internal/testenv"):
		return 7
	}
	return 5
}

// below floor 5 nothing sees a server's protocol.
var protocols = []string{"segmentio/kafka-go", "twmb/franz-go", "google.golang.org/grpc", "EventStore/", "labstack/echo", "go.opentelemetry.io", "prometheus/"}

func TestFloors(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	err = filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && file != root || d.Name() == "testdata" || d.Name() == "deps") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(file, ".go") {
			return nil
		}
		files++
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		check(t, file, filepath.ToSlash(rel))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 100 {
		t.Errorf("only %d files were read", files)
	}
}

func check(t *testing.T, file, rel string) {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	f, err := parser.ParseFile(token.NewFileSet(), file, src, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	pkg, test := path.Dir(rel), strings.HasSuffix(rel, "_test.go")
	for _, spec := range f.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if why := forbidden(pkg, rel, imported, test); why != "" {
			t.Errorf("%s imports %s: %s", rel, imported, why)
		}
	}
}

// forbidden says why a package may not import another one, or "".
func forbidden(pkg, file, imported string, test bool) string {
	from := floor(pkg)
	other, ours := strings.CutPrefix(imported, module+"/")
	if !ours {
		return foreign(pkg, file, imported, from, test)
	}
	to := floor(other)
	switch {
	case other == pkg:
		return ""
	case test && testSupport(other):
		return ""
	case strings.HasPrefix(pkg, "internal/embedded/") && to >= 2 && to <= 4:
		return "embedded servers know no domain"
	case from == 5 && to == 5, from == 7 && to == 7:
		return ""
	case strings.HasSuffix(pkg, "test") && pkg != other && path.Dir(pkg) == other:
		return ""
	case from == 3 && to == 3:
		return "siblings never import each other"
	case from == 1 && to > 0:
		return "the pure engines import the kernel only"
	case to >= from:
		return "floor " + strconv.Itoa(from) + " may not see floor " + strconv.Itoa(to)
	}
	return ""
}

func testSupport(pkg string) bool {
	return strings.HasSuffix(pkg, "test") || pkg == "kit/es/memory" || pkg == "internal/testenv"
}

func foreign(pkg, file, imported string, from int, test bool) string {
	first, _, _ := strings.Cut(imported, "/")
	third := strings.Contains(first, ".")
	switch {
	case from <= 0 && third && !test:
		return "the kernel imports the standard library only"
	case from < 5 && slices.ContainsFunc(protocols, func(p string) bool { return strings.Contains(imported, p) }):
		return "nothing below floor 5 sees a server's protocol"
	case from < 5 && strings.Contains(imported, "jackc/pgx") && file != "kit/projection/view.go" && !test:
		return "only kit/projection/view.go sees pgx"
	}
	return ""
}

// The rule is tried on what it must refuse, so that it cannot pass by never matching.
func TestFloorsRefuse(t *testing.T) {
	for _, tt := range []struct {
		pkg, imported string
		test, refused bool
	}{
		{"kit/es", "github.com/google/uuid", false, true},
		{"kit/es", module + "/events", false, true},
		{"kit/es", module + "/internal/mutant", false, false},
		{"internal/mutant", module + "/internal/es", false, true},
		{"internal/mutant", "github.com/google/uuid", false, true},
		{"events", module + "/internal/es", false, false},
		{"events", module + "/commands/order", false, true},
		{"commands/order", module + "/commands/stock", false, true},
		{"commands/order", "github.com/jackc/pgx/v5", false, true},
		{"commands/order", module + "/internal/es/estest", true, false},
		{"sagas", module + "/commands/order", false, false},
		{"sagas", "github.com/segmentio/kafka-go", false, true},
		{"kit/saga", module + "/internal/projection", false, true},
		{"kit/saga/sagatest", module + "/internal/saga", false, false},
		{"kit/eventserver", module + "/events", false, true},
		{"internal/relay", module + "/internal/app", false, true},
		{"internal/app", module + "/internal/relay", false, false},
		{"internal/app", module + "/cmd/daybook", false, true},
	} {
		if why := forbidden(tt.pkg, tt.pkg+"/x.go", tt.imported, tt.test); (why != "") != tt.refused {
			t.Errorf("%s imports %s: %q", tt.pkg, tt.imported, why)
		}
	}
}
