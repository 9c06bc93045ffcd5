package floors

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// unsent are commands that nothing sends yet, each with what will.
var unsent = map[string]string{
	"commands/order.RefuseCancel": "the cancellation of an order that was dispatched meanwhile",
	"commands/payment.Initiate":   "a payment in several attempts, whose total is stated first",
	"commands/stock.SetPolicy":    "the operation for safety stock",
	"commands/stock.WriteOff":     "the operation for units that are broken or lost",
}

// A read model, a reactor or a saga that is written and not listed does nothing, and a command that nothing sends is dead code.
func TestWhatIsWrittenIsUsed(t *testing.T) {
	t.Parallel()
	w := wiring{imported: map[string]bool{}, used: map[string]bool{}, commands: map[string]bool{}, sagas: map[string]bool{}}
	w.read(t, "../..")
	for _, group := range []string{"projections", "reactors"} {
		folders, err := os.ReadDir(filepath.Join("../..", group))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range folders {
			if pkg := path.Join(group, f.Name()); f.IsDir() && !w.imported[pkg] {
				t.Errorf("%s is not part of the program", pkg)
			}
		}
	}
	for name := range w.sagas {
		if !w.used["sagas."+name] {
			t.Errorf("the saga %s is not listed", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.commands)) {
		if why := unsent[name]; w.used[name] != (why == "") {
			t.Errorf("%s is sent: %t; as listed: %q", name, w.used[name], why)
		}
	}
	for name := range unsent {
		if !w.commands[name] {
			t.Errorf("there is no command %s", name)
		}
	}
	if len(w.commands) < 20 || len(w.sagas) < 2 {
		t.Errorf("only %d commands and %d sagas were found", len(w.commands), len(w.sagas))
	}
}

// wiring is what the shop's packages define, and what of it other code uses.
type wiring struct {
	imported map[string]bool // packages, by the program
	used     map[string]bool // package.Name
	commands map[string]bool // package.Name
	sagas    map[string]bool // functions that give a definition
}

func (w wiring) read(t *testing.T, root string) {
	t.Helper()
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			return err
		}
		w.file(filepath.ToSlash(path.Dir(filepath.ToSlash(rel))), f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (w wiring) file(pkg string, f *ast.File) {
	names := map[string]string{} // of imported packages, by their name in the file
	from, _ := of(pkg)
	for _, i := range f.Imports {
		imported, _ := strconv.Unquote(i.Path.Value)
		ours, ok := strings.CutPrefix(imported, module+"/")
		if !ok {
			continue
		}
		name := path.Base(ours)
		if i.Name != nil {
			name = i.Name.Name
		}
		names[name] = ours
		w.imported[ours] = w.imported[ours] || from.name == "program" || from.name == "command line"
	}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			w.function(pkg, fn)
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && names[x.Name] != "" {
				w.used[names[x.Name]+"."+n.Sel.Name] = true
			}
		case *ast.CompositeLit: // one command may consist of others
			if x, ok := n.Type.(*ast.Ident); ok {
				w.used[pkg+"."+x.Name] = true
			}
		case *ast.CallExpr:
			if x, ok := n.Fun.(*ast.Ident); ok {
				w.used[pkg+"."+x.Name] = true
			}
		}
		return true
	})
}

func (w wiring) function(pkg string, fn *ast.FuncDecl) {
	switch {
	case strings.HasPrefix(pkg, "commands/") && fn.Recv != nil && fn.Name.Name == "CommandType":
		if x, ok := fn.Recv.List[0].Type.(*ast.Ident); ok {
			w.commands[pkg+"."+x.Name] = true
		}
	case pkg == "sagas" && fn.Recv == nil && fn.Type.Results != nil && len(fn.Type.Results.List) == 1:
		if x, ok := fn.Type.Results.List[0].Type.(*ast.IndexExpr); ok {
			if s, ok := x.X.(*ast.SelectorExpr); ok && s.Sel.Name == "Definition" {
				w.sagas[fn.Name.Name] = true
			}
		}
	}
}
