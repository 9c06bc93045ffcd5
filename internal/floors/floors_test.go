// Package floors holds the import graph to the architecture: what may import what.
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

// area is a part of the house whose packages share their rules.
type area struct {
	name     string
	packages []string // and what lies below them, unless another area names it
	imports  []string // areas, besides the one it is
	tests    []string // areas that its tests import as well
	apart    bool     // its packages do not import each other
	pure     bool     // it sees no server's protocol
	plain    bool     // it sees no transport of requests
}

// Two storeys: the kit knows no shop, and the shop uses the kit's public packages. Machinery lies under internal.
var areas = []area{
	{name: "standard", packages: []string{"internal/lru"}, pure: true},
	{name: "kernel", packages: []string{"kit/es"}, imports: []string{"standard"}, apart: true, pure: true},
	{name: "kernel's tests", packages: []string{"kit/es/estest", "kit/es/memory"}, imports: []string{"kernel"}, apart: true, pure: true},
	{name: "kit", packages: []string{"kit/saga", "kit/projection", "kit/reactor", "kit/doctor", "kit/iso", "kit/text"}, imports: []string{"kernel"}, apart: true, pure: true},
	{name: "queries", packages: []string{"kit/projection/query"}, imports: []string{"kernel", "kit"}},
	{name: "event server", packages: []string{"kit/eventserver", "internal/eventserver"}, imports: []string{"tools"}, tests: []string{"kernel", "adapters"}},

	{name: "events", packages: []string{"events"}, imports: []string{"kernel"}, pure: true},
	{name: "commands", packages: []string{"commands"}, imports: []string{"kernel", "kit", "events"}, apart: true, pure: true},
	{name: "read models", packages: []string{"projections"}, imports: []string{"kernel", "kit", "queries", "events"}, apart: true, pure: true},
	{name: "processes", packages: []string{"sagas"}, imports: []string{"kernel", "kit", "events", "commands"}, pure: true},
	{name: "effects", packages: []string{"reactors"}, imports: []string{"kernel", "kit", "events", "commands"}, tests: []string{"tools", "feed", "engines"}},
	{name: "checks", packages: []string{"checks"}, imports: []string{"kernel", "kit", "events", "commands"}, tests: []string{"imports", "doctor"}, pure: true},
	{name: "imports", packages: []string{"imports"}, imports: []string{"kernel", "kit", "events", "commands"}},
	{name: "use cases", packages: []string{"internal/shop"}, imports: []string{"kernel", "kit", "queries", "events", "commands", "read models", "adapters"}, plain: true},
	{name: "transports", packages: []string{"api"}, imports: []string{"kernel", "kit", "queries", "events", "commands", "read models", "use cases"}, tests: []string{"adapters"}},

	{name: "tools", packages: []string{"internal/backoff", "internal/beat", "internal/bytesize", "internal/duerows", "internal/failpoint", "internal/filelock", "internal/groupcommit", "internal/health", "internal/kafkaread", "internal/protofields", "internal/webguard", "internal/wholefile", "internal/telemetry", "internal/secrets",
		"internal/embedded"}},
	{name: "adapters", packages: []string{"internal/esclient", "internal/postgres", "internal/personal", "internal/checkpoint", "internal/deployment", "internal/failure", "internal/operation", "internal/uptime"},
		imports: []string{"kernel", "kit", "tools"}, apart: true},
	{name: "topic", packages: []string{"internal/topic"}, imports: []string{"kernel", "tools", "adapters"}},
	{name: "relay", packages: []string{"internal/relay"}, imports: []string{"kernel", "tools", "adapters", "topic"}},
	{name: "feed", packages: []string{"internal/feed"}, imports: []string{"kernel", "tools", "adapters", "topic"}},
	{name: "engines", packages: []string{"internal/worker", "internal/reader", "internal/orchestrator", "internal/reactor"}, imports: []string{"standard", "kernel", "kit", "queries", "tools", "adapters",
		"topic", "feed"}, apart: true},
	{name: "recovery", packages: []string{"internal/recovery"}, imports: []string{"kernel", "kit", "tools", "adapters", "topic", "relay", "feed", "engines"}},
	{name: "doctor", packages: []string{"internal/doctor"}, imports: []string{"kernel", "kit", "tools", "adapters", "topic"}},
	{name: "operations", packages: []string{"internal/demo", "internal/bench"}, imports: []string{"kernel", "kit", "event server", "tools",
		"adapters", "topic", "relay", "feed", "engines", "events", "commands", "imports"}},
	{name: "runtime", packages: []string{"kit/runtime"}, imports: []string{"kernel", "kit", "queries", "event server", "tools", "adapters", "topic", "relay", "feed", "engines", "recovery", "doctor"}},
	{name: "program", packages: []string{"internal/app"}, imports: []string{"kernel", "kit", "runtime", "tools", "topic", "events", "commands", "read models", "processes", "effects", "checks", "imports",
		"use cases", "transports"}},
	{name: "tests", packages: []string{"internal/testenv", "internal/modeltest", "internal/viewtest", "internal/e2e", "internal/agreement", "internal/mutant", "internal/floors", "internal/recipes", "deploy"}, imports: []string{
		"kernel", "kernel's tests", "kit", "queries", "event server", "tools", "adapters", "topic", "relay", "feed", "engines", "recovery", "doctor", "operations", "runtime", "program", "events", "commands", "read models", "processes",
		"effects", "checks", "imports", "use cases", "transports"}},
	{name: "command line", packages: []string{"cmd"}, imports: []string{"kernel", "kit", "event server", "tools", "adapters", "topic", "relay", "engines", "operations", "runtime", "program", "processes",
		"imports"}},
}

// holes are imports that the rules forbid: what the shop needs and the kit does not offer yet. Each is in use, else it goes.
var holes = map[[2]string]string{}

// protocols are of servers.
var protocols = []string{"jackc/pgx", "segmentio/kafka-go", "twmb/franz-go", "google.golang.org/grpc", "EventStore/", "labstack/echo", "go.opentelemetry.io", "prometheus/"}

// transports carry requests, or are made for those that do.
var transports = []string{"net/http", "labstack/echo", "oapi-codegen/", "getkin/", "google.golang.org/grpc", "connectrpc.com/"}

// of is the area of a package, by its path in the module.
func of(pkg string) (a area, base string) {
	for _, one := range areas {
		for _, p := range one.packages {
			if (pkg == p || strings.HasPrefix(pkg, p+"/")) && len(p) > len(base) {
				a, base = one, p
			}
		}
	}
	return a, base
}

func TestFloors(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	files, used := 0, map[[2]string]bool{}
	err = filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && file != root || d.Name() == "testdata" || d.Name() == "deps" || d.Name() == "examples") {
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
		check(t, file, filepath.ToSlash(rel), used)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 100 {
		t.Errorf("only %d files were read", files)
	}
	for hole := range holes {
		if !used[hole] {
			t.Errorf("%s does not import %s any more: close the hole", hole[0], hole[1])
		}
	}
}

func check(t *testing.T, file, rel string, used map[[2]string]bool) {
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
		why := forbidden(pkg, rel, imported, test)
		if hole := [2]string{pkg, strings.TrimPrefix(imported, module+"/")}; why != "" && holes[hole] != "" {
			used[hole] = true
			continue
		}
		if why != "" {
			t.Errorf("%s imports %s: %s", rel, imported, why)
		}
	}
}

// forbidden says why a package may not import another one, or "".
func forbidden(pkg, file, imported string, test bool) string {
	from, base := of(pkg)
	if from.name == "" {
		return "the package is in no area"
	}
	other, ours := strings.CutPrefix(imported, module+"/")
	if !ours {
		return foreign(from, imported, test)
	}
	to, otherBase := of(other)
	switch {
	case other == pkg:
		return ""
	case test && (forTests(other) || strings.HasPrefix(pkg, "internal/") && to.name != "program" && to.name != "command line"):
		return ""
	case test && slices.Contains(from.tests, to.name):
		return ""
	case strings.HasSuffix(pkg, "test") && to.name != "program" && strings.HasPrefix(pkg, "internal/"):
		return ""
	case to.name == "":
		return other + " is in no area"
	case to.name == from.name && (!from.apart || base == otherBase && from.name != "commands" && from.name != "read models"):
		return ""
	case to.name == from.name:
		return "packages of the area " + from.name + " do not import each other"
	case !slices.Contains(from.imports, to.name):
		return from.name + " may not see " + to.name
	}
	return ""
}

// forTests are packages that help tests.
func forTests(pkg string) bool {
	return strings.HasSuffix(pkg, "test") || pkg == "kit/es/memory" || strings.HasPrefix(pkg, "internal/testenv") || pkg == "internal/embedded/pgserver"
}

func foreign(from area, imported string, test bool) string {
	first, _, _ := strings.Cut(imported, "/")
	switch {
	case (from.name == "kernel" || from.name == "standard") && strings.Contains(first, ".") && !test:
		return "the kernel, and what it uses, import the standard library only"
	case from.pure && slices.ContainsFunc(protocols, func(p string) bool { return strings.Contains(imported, p) }):
		return from.name + " sees no server's protocol"
	case from.plain && !test && slices.ContainsFunc(transports, func(p string) bool { return strings.Contains(imported, p) }):
		return from.name + " sees no transport"
	}
	return ""
}

// The rules are tried on what they must refuse, so that they cannot pass by never matching.
func TestFloorsRefuse(t *testing.T) {
	for _, tt := range []struct {
		pkg, imported string
		test, refused bool
	}{
		{"kit/es", "github.com/google/uuid", false, true},
		{"kit/es", module + "/events", false, true},
		{"kit/es", module + "/internal/failpoint", false, true},
		{"kit/es", module + "/internal/lru", false, false},
		{"internal/lru", "github.com/google/uuid", false, true},
		{"internal/lru", module + "/kit/es", false, true},
		{"kit/es/memory", module + "/kit/es", false, false},
		{"kit/saga", module + "/kit/projection", false, true},
		{"kit/saga/sagatest", module + "/kit/saga", false, false},
		{"kit/saga", module + "/sagas", false, true},
		{"kit/projection", "github.com/jackc/pgx/v5", false, true},
		{"kit/projection/plan", "github.com/jackc/pgx/v5", false, true},
		{"kit/projection/query", "github.com/jackc/pgx/v5", false, false},
		{"projections/sales", module + "/kit/projection/query", false, false},
		{"commands/order", module + "/kit/projection/query", false, true},
		{"kit/eventserver", module + "/events", false, true},
		{"kit/eventserver", module + "/kit/es", false, true},
		{"kit/eventserver", module + "/internal/eventserver/store", false, false},
		{"events", module + "/kit/es", false, false},
		{"events", module + "/commands/order", false, true},
		{"commands/order", module + "/commands/stock", false, true},
		{"commands/order", module + "/internal/failpoint", false, true},
		{"commands/order", "github.com/jackc/pgx/v5", false, true},
		{"commands/order", module + "/kit/es/estest", true, false},
		{"commands/order", module + "/kit/es/estest", false, true},
		{"projections/sales", module + "/projections/products", false, true},
		{"sagas", module + "/commands/order", false, false},
		{"sagas", "github.com/segmentio/kafka-go", false, true},
		{"api/command", module + "/internal/relay", false, true},
		{"api/command", module + "/internal/personal", false, true},
		{"api/query", module + "/internal/shop", false, false},
		{"internal/shop", module + "/internal/personal", false, false},
		{"internal/shop", module + "/api", false, true},
		{"internal/shop", module + "/api/openapi", false, true},
		{"internal/shop", module + "/sagas", false, true},
		{"internal/shop", "net/http", false, true},
		{"internal/shop", "github.com/labstack/echo/v4", false, true},
		{"commands/order", module + "/internal/shop", false, true},
		{"imports/onlineretail", module + "/internal/personal", false, true},
		{"internal/failpoint", module + "/kit/es", false, true},
		{"internal/esclient", module + "/internal/postgres", false, true},
		{"internal/relay", module + "/internal/feed", false, true},
		{"internal/feed", module + "/kit/projection", false, true},
		{"internal/worker", module + "/internal/orchestrator", false, true},
		{"internal/worker", module + "/events", false, true},
		{"internal/relay", module + "/internal/app", false, true},
		{"internal/app", module + "/internal/relay", false, true},
		{"internal/app", module + "/kit/runtime", false, false},
		{"kit/runtime", module + "/internal/relay", false, false},
		{"kit/runtime", module + "/internal/doctor", false, false},
		{"kit/runtime", module + "/checks", false, true},
		{"internal/recovery", module + "/commands/lease", false, true},
		{"internal/doctor", module + "/checks", false, true},
		{"internal/doctor", module + "/events", false, true},
		{"internal/doctor", module + "/commands/order", false, true},
		{"checks", module + "/kit/doctor", false, false},
		{"checks", module + "/internal/doctor", false, true},
		{"checks", "github.com/jackc/pgx/v5", false, true},
		{"kit/runtime", module + "/events", false, true},
		{"kit/runtime", module + "/commands/order", false, true},
		{"kit/runtime", module + "/api", false, true},
		{"kit/runtime", module + "/internal/app", false, true},
		{"internal/relay", module + "/kit/runtime", false, true},
		{"internal/app", module + "/cmd/daybook", false, true},
		{"internal/unknown", module + "/kit/es", false, true},
	} {
		if why := forbidden(tt.pkg, tt.pkg+"/x.go", tt.imported, tt.test); (why != "") != tt.refused {
			t.Errorf("%s imports %s: %q", tt.pkg, tt.imported, why)
		}
	}
}
