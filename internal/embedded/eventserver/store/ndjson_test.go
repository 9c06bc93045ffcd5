package store

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestDumpAndImport(t *testing.T) {
	t.Parallel()
	s, err := Open(Config{Dir: "data", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i, data := range []string{`{"n":1}`, `{ "spaced" : 1.0e3, "dup":1, "dup":2 }`, "", "\x00\xff", `"<html>"`, `{"u":"\u2028 ü"}`, "null", "1e400"} {
		e := Event{ID: newID(), Type: "t", JSON: i%2 == 0, Data: []byte(data), Meta: []byte(data)}
		for _, stream := range []string{"a", fmt.Sprintf("s-%d", i)} {
			if res := s.Do(Request{Stream: stream, Expected: ExpectAny, Events: []Event{e}}); res.Err != nil {
				t.Fatal(res.Err)
			}
			e.ID = newID()
		}
	}
	for _, r := range []Request{metadata("a", `{"$maxCount":3}`), {Kind: Tombstone, Stream: "s-1", Expected: ExpectAny}, {Kind: SoftDelete, Stream: "s-2", Expected: ExpectAny},
		{Kind: SoftDelete, Stream: "s-3", Expected: ExpectAny}, simple("s-3"), metadata("s-3", `{"$maxCount":9}`)} {
		if res := s.Do(r); res.Err != nil {
			t.Fatal(res.Err)
		}
	}
	var dump bytes.Buffer
	n, err := s.Dump(t.Context(), &dump)
	if err != nil || n != s.Visible() {
		t.Fatalf("%d events dumped, %v", n, err)
	}
	text, fs := dump.String(), vfs.NewMem()
	if n, err = Import(t.Context(), strings.NewReader(text), Config{Dir: "data", FS: fs}); err != nil || n != s.Visible()-1 {
		t.Fatalf("%d events imported, %v", n, err)
	}
	if _, err := Import(t.Context(), strings.NewReader(text), Config{Dir: "data", FS: fs}); err == nil {
		t.Error("imported over a data directory")
	}
	other, err := Open(Config{Dir: "data", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	all := func(s *Store) (list []string) {
		err := s.ReadAll(2, func(r *Record) bool {
			if r.Revision == TombstoneRevision {
				r.ID = ID{} // the store's own
			}
			c := *r
			if r.Type[0] == '$' {
				c.Created = 0
			}
			list = append(list, recordText(&c))
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	want, got := all(s), all(other)
	if len(want) != len(got) {
		t.Fatalf("%d events, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("event %d is\n%s\nwant\n%s", i, got[i], want[i])
		}
	}
	if _, err := other.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestImportKeepsCreated(t *testing.T) {
	t.Parallel()
	line := `{"stream":"s","revision":%d,"id":"6ba7b810-9dad-11d1-80b4-00c04fd430c%d","type":"t","created":%d,"json":true,"data":{"n":1}}` + "\n"
	for _, first := range []int64{12_345, 99_999_999_999_999_999} {
		fs := vfs.NewMem()
		text := fmt.Sprintf(line, 0, 1, first) + fmt.Sprintf(line, 1, 2, first+5)
		if _, err := Import(t.Context(), strings.NewReader(text), Config{Dir: "data", FS: fs}); err != nil {
			t.Fatal(err)
		}
		s, err := Open(Config{Dir: "data", FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		var created []int64
		if err := s.ReadAll(2, func(r *Record) bool { created = append(created, r.Created); return true }); err != nil {
			t.Fatal(err)
		}
		if len(created) != 2 || created[0] != first || created[1] != first+5 {
			t.Errorf("created %v", created)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBadImport(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"{", `{"stream":"s","revision":5,"id":"6ba7b810-9dad-11d1-80b4-00c04fd430c8"}`, `{"stream":"","revision":0}`, `{"revision":-1}`} {
		if _, err := Import(t.Context(), strings.NewReader(text), Config{Dir: "data", FS: vfs.NewMem()}); err == nil {
			t.Errorf("%s was imported", text)
		}
	}
}
