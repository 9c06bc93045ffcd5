package floors

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// unused are names of the kit that no other package needs, each with the reason why it is there.
var unused = map[string]string{
	"kit/es.Weigher":                            "states of commands implement it without its name",
	"kit/es.HandleView":                         "HandlePreparedView for commands that need no preparation",
	"kit/eventserver/eventservertest.StartWith": "a test of secured clients, or of a store that is served again",
	"kit/runtime.Run":                           "a program with commands or settings beside those of Main",
	"kit/runtime.Parse":                         "the same",
}

// The kit exports what somebody uses: each name is needed by another package, or by a name that is.
func TestTheKitExportsWhatIsUsed(t *testing.T) {
	t.Parallel()
	k := kitNames{exported: map[string]bool{}, used: map[string]bool{}, needs: map[string][]string{}}
	k.read(t, "../..")
	for name := range k.exported {
		if k.used[name] {
			k.follow(name)
		}
	}
	lacking := 0
	for _, name := range slices.Sorted(maps.Keys(k.exported)) {
		if why := unused[name]; k.used[name] != (why == "") {
			lacking++
			t.Errorf("%s is used outside of its package: %t; as listed: %q", name, k.used[name], why)
		}
	}
	for name := range unused {
		if !k.exported[name] {
			t.Errorf("there is no %s", name)
		}
	}
	if t.Logf("%d of %d names are not as listed", lacking, len(k.exported)); len(k.exported) < 200 {
		t.Errorf("only %d names were found", len(k.exported))
	}
}

// kitNames are the top-level names that packages below kit export, as package.Name.
type kitNames struct {
	exported map[string]bool
	used     map[string]bool     // by another package
	needs    map[string][]string // the names of its own package that an exported declaration shows
}

// follow makes used what a used name shows: who calls a function is given its results.
func (k kitNames) follow(name string) {
	for _, other := range k.needs[name] {
		if !k.used[other] {
			k.used[other] = true
			k.follow(other)
		}
	}
}

func (k kitNames) read(t *testing.T, root string) {
	t.Helper()
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "testdata":
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(file, ".go"):
			return nil
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		k.file(path.Dir(filepath.ToSlash(rel)), f, strings.HasSuffix(file, "_test.go"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (k kitNames) file(pkg string, f *ast.File, test bool) {
	if strings.HasPrefix(pkg, "kit/") && !test {
		for _, d := range f.Decls {
			k.declared(pkg, d)
		}
	}
	names := map[string]string{}
	for _, i := range f.Imports {
		imported, _ := strconv.Unquote(i.Path.Value)
		ours, ok := strings.CutPrefix(imported, module+"/kit/")
		if !ok || "kit/"+ours == pkg { // its own tests, from outside
			continue
		}
		name := path.Base(ours)
		if i.Name != nil {
			name = i.Name.Name
		}
		names[name] = "kit/" + ours
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && names[x.Name] != "" {
				k.used[names[x.Name]+"."+s.Sel.Name] = true
			}
		}
		return true
	})
}

// declared notes a declaration's exported names, and what each shows.
func (k kitNames) declared(pkg string, d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		name := d.Name
		if d.Recv != nil {
			if !name.IsExported() {
				return
			}
			name = receiver(d.Recv.List[0].Type)
		}
		k.export(pkg, name, d.Type)
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				k.export(pkg, s.Name, s.Type)
				if s.TypeParams != nil {
					k.export(pkg, s.Name, s.TypeParams)
				}
			case *ast.ValueSpec:
				for _, name := range s.Names {
					k.export(pkg, name, s.Type)
				}
			}
		}
	}
}

func receiver(of ast.Expr) *ast.Ident {
	for {
		switch x := of.(type) {
		case *ast.StarExpr:
			of = x.X
		case *ast.IndexExpr:
			of = x.X
		case *ast.IndexListExpr:
			of = x.X
		case *ast.Ident:
			return x
		default:
			return ast.NewIdent("_")
		}
	}
}

func (k kitNames) export(pkg string, name *ast.Ident, shows ast.Node) {
	if !name.IsExported() {
		return
	}
	own := pkg + "." + name.Name
	k.exported[own] = true
	if shows == nil {
		return
	}
	_, function := shows.(*ast.FuncType)
	ast.Inspect(shows, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncType:
			if n != shows {
				k.export(pkg, name, n)
				return false
			}
		case *ast.Field: // what a private field of a struct is does not show
			return function || len(n.Names) == 0 || slices.ContainsFunc(n.Names, (*ast.Ident).IsExported)
		case *ast.Ident:
			if n.IsExported() {
				k.needs[own] = append(k.needs[own], pkg+"."+n.Name)
			}
		}
		return true
	})
}
