package events_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
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

// TestGolden holds every version of every event to what it looks like on disk. The newest is written by -update; older
// ones are never written again, and none may leave.
func TestGolden(t *testing.T) {
	c := catalog(t)
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
			if *update {
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
