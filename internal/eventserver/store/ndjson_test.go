package store

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// various is a store with all that can stand in one.
func various(t *testing.T) *Store {
	t.Helper()
	s, err := Open(Config{Dir: "data", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	do := func(r Request) {
		t.Helper()
		if res := s.Do(r); res.Err != nil {
			t.Fatal(res.Err)
		}
	}
	for i, data := range []string{`{"n":1}`, `{ "spaced" : 1.0e3, "dup":1, "dup":2 }`, "", "\x00\xff", `"<html>"`, `{"u":"\u2028 ü"}`, "null", "1e400", "\"\xff\"", " {}", "{}\n"} {
		for _, stream := range []string{"a", fmt.Sprintf("s-%d", i), fmt.Sprintf("\xfe %d", i)} {
			do(Request{Stream: stream, Expected: ExpectAny, Events: []Event{{ID: newID(), Type: "t", JSON: i%2 == 0, Data: []byte(data), Meta: []byte(data)}}})
		}
	}
	for _, r := range []Request{metadata("a", `{"$maxCount":3}`), {Kind: Tombstone, Stream: "s-1", Expected: ExpectAny}, {Kind: SoftDelete, Stream: "s-2", Expected: ExpectAny},
		{Kind: SoftDelete, Stream: "s-3", Expected: ExpectAny}, simple("s-3"), metadata("s-3", `{"$maxCount":9}`)} {
		do(r)
	}
	do(Request{Stream: "b\x00", Expected: ExpectAny, Events: []Event{{ID: newID(), Type: "\xff"}}})
	return s
}

func dump(t *testing.T, s *Store, o DumpOptions) string {
	t.Helper()
	var b bytes.Buffer
	n, err := s.Dump(t.Context(), &b, o)
	if err != nil || n != uint64(strings.Count(b.String(), "\n")) {
		t.Fatalf("%d events dumped, %v", n, err)
	}
	if !utf8.Valid(b.Bytes()) {
		t.Errorf("the dump is not UTF-8: %q", b.String())
	}
	return b.String()
}

// body is a dump without the incarnation's line.
func body(text string) string {
	_, rest, _ := strings.Cut(text, "\n")
	return rest
}

func into(t *testing.T, fs vfs.FS, text string, o ImportOptions) (Imported, error) {
	t.Helper()
	return Import(t.Context(), strings.NewReader(text), Config{Dir: "data", FS: fs}, o)
}

func opened(t *testing.T, fs vfs.FS) *Store {
	t.Helper()
	s, err := Open(Config{Dir: "data", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestDumpAndImport goes round: the second dump is the first, byte for byte, but for the incarnation's own line.
func TestDumpAndImport(t *testing.T) {
	t.Parallel()
	s, fs := various(t), vfs.NewMem()
	text := dump(t, s, DumpOptions{})
	n := s.Visible() - 1
	if got, err := into(t, fs, text, ImportOptions{}); err != nil || got != (Imported{Lines: n + 1, Added: n, LeftOut: 1}) {
		t.Fatalf("%+v, %v", got, err)
	}
	if got, err := into(t, fs, text, ImportOptions{}); err != nil || got != (Imported{Lines: n + 1, Present: n, LeftOut: 1}) {
		t.Fatalf("a second time: %+v, %v", got, err)
	}
	other := opened(t, fs)
	if again := dump(t, other, DumpOptions{}); body(again) != body(text) {
		t.Errorf("the dump of what was imported is\n%s\nwant\n%s", again, text)
	}
	if _, err := other.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	for _, stream := range []string{"a", "s-1", "s-2", "s-3", "s-4"} {
		want, err := s.View(t.Context(), stream)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := other.View(t.Context(), stream); err != nil || got != want {
			t.Errorf("stream %s is shown as %+v, want %+v", stream, got, want)
		}
	}
}

func TestDumpOfAPart(t *testing.T) {
	t.Parallel()
	s := various(t)
	all := dump(t, s, DumpOptions{})
	if got := strings.Count(dump(t, s, DumpOptions{Stream: "a"}), "\n"); got != 3 {
		t.Errorf("%d events of a, want the 3 that it shows", got)
	}
	if got := dump(t, s, DumpOptions{From: s.Visible()}); !strings.HasSuffix(all, "\n"+got) || strings.Count(got, "\n") != 1 {
		t.Errorf("the last event is %s", got)
	}
	if got := dump(t, s, DumpOptions{From: s.Visible() + 1}); got != "" {
		t.Errorf("behind the end comes %s", got)
	}
	for _, stream := range []string{"s-1", "s-2", "none"} {
		if _, err := s.Dump(t.Context(), &bytes.Buffer{}, DumpOptions{Stream: stream}); err == nil {
			t.Errorf("stream %s was dumped", stream)
		}
	}
}

// TestImportGoesOn breaks a dump off after each of its lines, and repeats it.
func TestImportGoesOn(t *testing.T) {
	t.Parallel()
	text := dump(t, various(t), DumpOptions{})
	lines := strings.SplitAfter(text, "\n")
	lines = lines[:len(lines)-1]
	for i := range lines {
		fs := vfs.NewMem()
		if got, err := into(t, fs, strings.Join(lines[:i], ""), ImportOptions{}); err != nil || got.Lines != uint64(i) {
			t.Fatalf("%d lines: %+v %v", i, got, err)
		}
		got, err := into(t, fs, text, ImportOptions{})
		if err != nil || got.Present != uint64(max(i-1, 0)) || got.Added+got.Present+1 != uint64(len(lines)) {
			t.Fatalf("after %d lines: %+v %v", i, got, err)
		}
		s := opened(t, fs)
		again := dump(t, s, DumpOptions{})
		if i == 0 { // the incarnation's event is of today, and nothing may be older
			continue
		}
		if i > 1 && body(again) != body(text) {
			t.Fatalf("after %d lines the dump is\n%s\nwant\n%s", i, again, text)
		}
	}
}

// TestImportOfWhatWasScavenged: streams that begin later, and tombstones of which nothing else is left.
func TestImportOfWhatWasScavenged(t *testing.T) {
	t.Parallel()
	s, fs := various(t), vfs.NewMem()
	if got, err := s.Scavenge(t.Context()); err != nil || got.Events == 0 {
		t.Fatalf("%+v %v", got, err)
	}
	text := dump(t, s, DumpOptions{})
	_, err := into(t, fs, text, ImportOptions{})
	if err == nil || !strings.Contains(err.Error(), "begins at revision") {
		t.Fatalf("a part was imported as the whole: %v", err)
	}
	for _, want := range []uint64{0, s.Visible()} { // added by the second run
		got, err := into(t, fs, text, ImportOptions{Partial: true})
		if err != nil || want != 0 && got.Added != 0 {
			t.Fatalf("%+v %v", got, err)
		}
	}
	other := opened(t, fs)
	if _, err := other.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	strip := func(text string) string { // positions are new
		var out []string
		for line := range strings.Lines(body(text)) {
			_, line, _ = strings.Cut(line, ",")
			out = append(out, line)
		}
		return strings.Join(out, "")
	}
	if again := dump(t, other, DumpOptions{}); strip(again) != strip(text) {
		t.Errorf("the dump of what was imported is\n%s\nwant\n%s", again, text)
	}
	// What the target scavenged is not brought back.
	whole := various(t)
	full := dump(t, whole, DumpOptions{})
	target := vfs.NewMem()
	if _, err := into(t, target, full, ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	third := opened(t, target)
	if _, err := third.Scavenge(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := third.Visible()
	if got, err := third.Import(t.Context(), strings.NewReader(full), ImportOptions{}); err != nil || got.Added != 0 || third.Visible() != before {
		t.Errorf("%+v %v", got, err)
	}
}

func TestImportKeepsCreated(t *testing.T) {
	t.Parallel()
	for _, first := range []int64{12_345, 99_999_999_999_999_999} {
		fs := vfs.NewMem()
		if got, err := into(t, fs, lineOf("s", 0, 1, first)+lineOf("s", 1, 2, first+5), ImportOptions{}); err != nil || got.Redated != 0 {
			t.Fatal(got, err)
		}
		// What is older than the newest event is dated as that, and counted.
		if got, err := into(t, fs, lineOf("other", 0, 3, first+3)+lineOf("other", 1, 4, first+6), ImportOptions{}); err != nil || got.Redated != 1 {
			t.Fatal(got, err)
		}
		var created []int64
		if err := opened(t, fs).ReadAll(2, func(r *Record) bool { created = append(created, r.Created-first); return true }); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(created) != "[0 5 5 6]" {
			t.Errorf("created %v", created)
		}
	}
}

func lineOf(stream string, revision, id int, created int64) string {
	return fmt.Sprintf(`{"stream":%q,"revision":%d,"id":"6ba7b810-9dad-11d1-80b4-00c04fd4%04d","type":"t","created":%d,"json":true,"data":{"n":1}}`+"\n", stream, revision, id, created)
}

// TestBadImport: the bad line is named, and all before it is in the store, and nothing behind it.
func TestBadImport(t *testing.T) {
	t.Parallel()
	for bad, reason := range map[string]string{
		"{": "cut short", "[]": "cannot unmarshal", "{}": "no name", "{} {}": "follows", lineOf("s", 3, 9, 1): "goes on at revision 2",
		lineOf("x", 1, 9, 1): "begins at revision 1", lineOf("s", 0, 9, 1): "another event is", lineOf("$all", 0, 9, 1): "$all",
		`{"stream":"s","revision":-1}`: "revision", `{"stream":"s","revison":0}`: "unknown field", lineOf("s", 2, 9, 0): "created",
		strings.Replace(lineOf("s", 2, 9, 1), `"t"`, `""`, 1):                                  "no type",
		`{"stream":"s","revision":2,"id":"x"}`:                                                 "UUID",
		`{"stream":"s","revision":2,"type":"t","created":1}`:                                   "no id",
		strings.Replace(lineOf("s", 2, 9, 1), `"data"`, `"bytes":"AA==","data"`, 1):            "twice",
		strings.Replace(lineOf("s", 2, 9, 1), `"n"`, `"`+strings.Repeat("n", 2000)+`"`, 1):     "larger than",
		strings.Replace(lineOf("s", 2, 9, 1), `"n"`, `"`+strings.Repeat("n", mostLine)+`"`, 1): "longer than",
	} {
		fs := vfs.NewMem()
		text := lineOf("s", 0, 1, 1) + lineOf("s", 1, 2, 1) + "\n" + bad + "\n" + lineOf("later", 0, 3, 1)
		got, err := into(t, fs, text, ImportOptions{MaxEventBytes: 1000})
		var at *LineError
		if !errors.As(err, &at) || at.Line != 4 || !strings.Contains(err.Error(), reason) || got.Added != 2 {
			t.Errorf("%.100s: %+v, %.200v; want line 4 and %q", bad, got, err, reason)
		}
		if n := opened(t, fs).Visible(); n != 3 {
			t.Errorf("%.100s: the store has %d events, want 3", bad, n)
		}
	}
	fs := vfs.NewMem()
	if err := fs.MkdirAll("data", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(fs, "data", "diary.txt", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := into(t, fs, lineOf("s", 0, 1, 1), ImportOptions{}); err == nil {
		t.Error("imported into a directory of something else")
	}
}

// TestImportRepeatsWithinABatch: two dumps of the same, one behind the other.
func TestImportRepeatsWithinABatch(t *testing.T) {
	t.Parallel()
	text := dump(t, various(t), DumpOptions{})
	got, err := into(t, vfs.NewMem(), text+text, ImportOptions{})
	if err != nil || got.Added != got.Present || got.LeftOut != 2 {
		t.Errorf("%+v %v", got, err)
	}
}

func TestImportLeavesSystemStreamsOut(t *testing.T) {
	t.Parallel()
	text := lineOf("$users", 0, 1, 1) + lineOf("$$$users", 0, 2, 1) + lineOf("s", 0, 3, 1) + lineOf("$$s", 0, 4, 1)
	if got, err := into(t, vfs.NewMem(), text, ImportOptions{LeaveSystem: true}); err != nil || got != (Imported{Lines: 4, Added: 2, LeftOut: 2}) {
		t.Errorf("%+v %v", got, err)
	}
}
