package mutant_test

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/daybook-dev/daybook/internal/mutant"
)

const path = "github.com/daybook-dev/daybook/internal/mutant"

// Every mutant is asked for in exactly one place of the program, by its constant, and nothing else of the package is used.
func TestEveryMutantHasOnePlace(t *testing.T) {
	names := constants(t)
	if len(names) != len(mutant.All()) {
		t.Errorf("%d names are declared, All gives %d", len(names), len(mutant.All()))
	}
	places := map[mutant.Name][]string{}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && file != root || d.Name() == "testdata" || file == filepath.Join(root, "internal", "mutant")):
			return filepath.SkipDir
		case !strings.HasSuffix(file, ".go"):
			return nil
		}
		for _, constant := range asked(t, file) {
			n, known := names[constant]
			if !known {
				t.Errorf("%s uses mutant.%s, which is no name", file, constant)
				continue
			}
			places[n] = append(places[n], file)
			if strings.HasSuffix(file, "_test.go") {
				t.Errorf("%s asks for %s: tests are broken by the program, not by themselves", file, n)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range mutant.All() {
		if len(places[n]) != 1 {
			t.Errorf("%s is asked for in %d places, want one: %v", n, len(places[n]), places[n])
		}
	}
}

// constants are the names by their Go names.
func constants(t *testing.T) map[string]mutant.Name {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "mutant.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]mutant.Name{}
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Names) != 1 || len(spec.Values) != 1 {
			return true
		}
		if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
			name, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			out[spec.Names[0].Name] = mutant.Name(name)
		}
		return true
	})
	for constant, n := range out {
		if !slices.Contains(mutant.All(), n) {
			t.Errorf("All does not give %s (%s)", constant, n)
		}
	}
	return out
}

// asked are what a file uses of the package, besides On.
func asked(t *testing.T, file string) (used []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(f.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == strconv.Quote(path) }) {
		return nil
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "mutant" && s.Sel.Name != "On" {
				used = append(used, s.Sel.Name)
			}
		}
		return true
	})
	return used
}

// An ordinary build has an On that is a constant false, and not the file that wakes a mutant.
func TestOrdinaryBuildsHaveNone(t *testing.T) {
	for _, tt := range []struct {
		tags  []string
		files []string
	}{
		{nil, []string{"mutant.go", "off.go"}},
		{[]string{"failpoint"}, []string{"mutant.go", "off.go"}},
		{[]string{"mutant"}, []string{"mutant.go", "on.go"}},
	} {
		c := build.Default
		c.BuildTags = tt.tags
		p, err := c.ImportDir(".", 0)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(p.GoFiles, tt.files) {
			t.Errorf("a build with the tags %v has %v, want %v", tt.tags, p.GoFiles, tt.files)
		}
	}
	for _, n := range mutant.All() {
		if mutant.On(n) {
			t.Errorf("%s is awake", n)
		}
	}
}
