package events_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/daybook-dev/daybook/events"
	"github.com/daybook-dev/daybook/kit/es"
)

var update = flag.Bool("update", false, "write the golden files of the newest versions anew")

func catalog(tb testing.TB) *es.Catalog {
	tb.Helper()
	c, err := es.NewCatalog(events.Catalog())
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// TestGolden holds every version of every event to what it looks like on disk. The newest is written by -update until it is released;
// older ones are never written again, and none may leave.
func TestGolden(t *testing.T) {
	c := catalog(t)
	frozen, err := released("testdata")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for d := range c.Definitions() {
		zero, err := c.Decode(d.Type, d.Version, []byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		for v := 1; v <= d.Version; v++ {
			file := filepath.Join("testdata", fmt.Sprintf("%s.v%d.json", d.Type, v))
			known[file] = true
			if v < d.Version {
				golden := read(t, file)
				if _, err := c.Decode(d.Type, v, golden); err != nil {
					t.Errorf("%s: %v", file, err)
				}
				continue
			}
			full := reflect.New(reflect.TypeOf(zero)).Elem()
			n := 0
			fill(t, full, d.Type, &n)
			_, _, data, err := c.Encode(full.Interface().(es.Event))
			if err != nil {
				t.Fatal(err)
			}
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, data, "", "  "); err != nil {
				t.Fatal(err)
			}
			pretty.WriteByte('\n')
			if frozen[filepath.Base(file)] == "" && *update {
				if err := os.WriteFile(file, pretty.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			golden := read(t, file)
			if !bytes.Equal(golden, pretty.Bytes()) {
				t.Errorf("%s no longer says what %s looks like: a new shape is a new version with an upcaster\ngot %s", file, d.Type, pretty.Bytes())
			}
			back, err := c.Decode(d.Type, v, golden)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(back, full.Interface()) {
				t.Errorf("%s loses fields on its way through JSON\ngot  %+v\nwant %+v", d.Type, back, full.Interface())
			}
		}
	}
	for _, problem := range rewritten("testdata", frozen) {
		t.Error(problem)
	}
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !known[f] {
			t.Errorf("%s is of an event that the catalogue no longer reads", f)
		}
	}
}

// released reads which golden files belong to a release, each with its SHA-256, as sha256sum writes them.
func released(dir string) (map[string]string, error) {
	list, err := os.ReadFile(filepath.Join(dir, "released.sha256"))
	if err != nil {
		return nil, err
	}
	frozen := map[string]string{}
	for line := range strings.Lines(string(list)) {
		digest, file, ok := strings.Cut(strings.TrimSpace(line), "  ")
		if !ok || len(digest) != hex.EncodedLen(sha256.Size) {
			return nil, fmt.Errorf("released.sha256: %q is not a line of sha256sum", line)
		}
		frozen[file] = digest
	}
	return frozen, nil
}

// rewritten says which released golden files are not as they were released.
func rewritten(dir string, frozen map[string]string) (problems []string) {
	for file, digest := range frozen {
		b, err := os.ReadFile(filepath.Join(dir, file))
		switch got := sha256.Sum256(b); {
		case err != nil:
			problems = append(problems, fmt.Sprintf("a released version: %v", err))
		case hex.EncodeToString(got[:]) != digest:
			problems = append(problems, file+" is released and was rewritten: a new shape is a new version with an upcaster")
		}
	}
	return problems
}

func TestAReleasedGoldenFileIsFrozen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.v1.json", "{}\n")
	write("released.sha256", "ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356  a.v1.json\n")
	frozen, err := released(dir)
	if problems := rewritten(dir, frozen); err != nil || len(frozen) != 1 || problems != nil {
		t.Errorf("as released: %v %v %v", frozen, problems, err)
	}
	write("a.v1.json", `{"sku":""}`)
	if problems := rewritten(dir, frozen); len(problems) != 1 {
		t.Errorf("rewritten: %v", problems)
	}
	if err := os.Remove(filepath.Join(dir, "a.v1.json")); err != nil {
		t.Fatal(err)
	}
	if problems := rewritten(dir, frozen); len(problems) != 1 {
		t.Errorf("removed: %v", problems)
	}
	write("released.sha256", "a.v1.json\n")
	if _, err := released(dir); err == nil {
		t.Error("a list without digests is taken")
	}
}

// TestEveryEventIsInTheCatalogue: one that is not could be decided and never recorded.
func TestEveryEventIsInTheCatalogue(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for d := range catalog(t).Definitions() {
		known[d.Shape(d.Version).Name()] = true
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			method, ok := d.(*ast.FuncDecl)
			if !ok || method.Recv == nil || method.Name.Name != "EventType" {
				continue
			}
			if name, ok := method.Recv.List[0].Type.(*ast.Ident); ok && !known[name.Name] {
				t.Errorf("%s: %s is not in the catalogue", file, name.Name)
			}
		}
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v: run go test ./events -update", err)
	}
	return b
}

var timeType = reflect.TypeFor[time.Time]()

// fill gives every field a value of its own. A field of a type not listed (a float above all) has no place in an event.
func fill(t *testing.T, v reflect.Value, name string, n *int) {
	t.Helper()
	*n++
	switch v.Kind() { //nolint:exhaustive // the others are refused
	case reflect.String:
		v.SetString(fmt.Sprintf("%s %d", name, *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint64:
		v.SetUint(uint64(*n))
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte(name))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(t, v.Index(0), name, n)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(t, k, name, n)
		fill(t, e, name, n)
		v.SetMapIndex(k, e)
	case reflect.Struct:
		if v.Type() == timeType {
			v.Set(reflect.ValueOf(time.Date(2011, 6, 1, 12, 30, *n, 123456000, time.UTC)))
			return
		}
		for i := range v.NumField() {
			f := v.Type().Field(i)
			tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if tag == "" || !f.IsExported() {
				t.Errorf("%s: field %s of %s has no name on the wire", name, f.Name, v.Type())
				continue
			}
			fill(t, v.Field(i), tag, n)
		}
	default:
		t.Errorf("%s: a %s cannot stand in an event", name, v.Type())
	}
}

// TestNamesBelong checks what the catalogue itself cannot: an event's name begins with a known category.
func TestNamesBelong(t *testing.T) {
	categories := map[string]bool{"product": true, "customer": true, "order": true, "stock": true, "payment": true, "lease": true, "import": true}
	for d := range catalog(t).Definitions() {
		if category, _, _ := strings.Cut(d.Type, "."); !categories[category] {
			t.Errorf("%s has no aggregate", d.Type)
		}
	}
}
