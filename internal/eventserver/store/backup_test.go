package store

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	s, err := Open(Config{Dir: "data", FS: fs, MemTableBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if res := s.Do(simple(fmt.Sprintf("s-%d-%d", w, i%50))); res.Err != nil {
					t.Error(res.Err)
					return
				}
			}
		})
	}
	watch := s.Watch("")
	defer watch.Close()
	for s.Visible() < 500 {
		<-watch.C
	}
	m, err := s.Backup(t.Context(), "backup")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Backup(t.Context(), "backup"); err == nil {
		t.Error("a backup was written over another")
	}
	if r, err := s.Verify(t.Context()); err != nil || r.Events != r.Position {
		t.Errorf("verify while serving: %+v %v", r, err)
	}
	close(stop)
	wg.Wait()
	original := contents(t, s)

	report, err := Restore(t.Context(), "backup", Config{Dir: "restored", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	if report.Incarnation == m.Incarnation || report.Events <= m.Position || report.Position != report.Events {
		t.Errorf("backup at %d of %s restored as %+v", m.Position, m.Incarnation, report)
	}
	if _, err := Restore(t.Context(), "backup", Config{Dir: "restored", FS: fs}); err == nil {
		t.Error("restored over an existing directory")
	}
	r, err := Open(Config{Dir: "restored", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	restored := contents(t, r)
	for p, text := range restored {
		if uint64(len(restored)) != p && original[p] != text {
			t.Errorf("position %d was restored as something else", p)
		}
	}
	if r.Incarnation() != report.Incarnation || s.Incarnation() != m.Incarnation {
		t.Error("incarnations are mixed up")
	}
	if res := r.Do(simple("s-0-0")); res.Err != nil || res.Position != report.Position+1 {
		t.Errorf("append after the restore: %+v", res)
	}
}

func TestDamagedBackup(t *testing.T) {
	t.Parallel()
	fs, _ := filled(t)
	s, err := Open(Config{Dir: "data", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	m, err := s.Backup(t.Context(), "backup")
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range m.Files {
		path := "backup/" + f.Name
		whole, err := readFile(fs, path)
		if err != nil {
			t.Fatal(err)
		}
		if len(whole) == 0 {
			continue
		}
		bad := append([]byte(nil), whole...)
		bad[len(bad)/2] ^= 4
		put := func(b []byte) {
			if err := writeFile(fs, "backup", f.Name, append([]byte(nil), b...)); err != nil {
				t.Fatal(err)
			}
		}
		put(bad)
		if _, err := Restore(t.Context(), "backup", Config{Dir: fmt.Sprintf("restored-%d", i), FS: fs}); err == nil {
			t.Errorf("restored with a damaged %s", f.Name)
		}
		put(whole)
	}
	if _, err := Restore(t.Context(), "backup", Config{Dir: "restored", FS: fs}); err != nil {
		t.Errorf("after mending it: %v", err)
	}
	if err := fs.Remove("backup/" + backupName); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), "backup", Config{Dir: "again", FS: fs}); err == nil {
		t.Error("restored from a directory that is no complete backup")
	}
}

// TestVerifyFinds takes single entries out of the key space, as no honest failure does. It must say what and where.
func TestVerifyFinds(t *testing.T) {
	t.Parallel()
	const everything = 0
	for name, tt := range map[string]struct {
		damage func(s *Store) error
		want   string
		count  int
	}{
		"nothing":     {func(*Store) error { return nil }, "", everything},
		"index entry": {func(s *Store) error { return s.db.Delete(streamKey(nil, "s-3", 5), nil) }, `stream "s-3", revision 5: `, 2},
		"last entry":  {func(s *Store) error { return s.db.Delete(streamKey(nil, "s-3", 39), nil) }, `stream "s-3", revision 39: `, 2},
		"record":      {func(s *Store) error { return s.db.Delete(allKey(nil, 77), nil) }, `position 77: the event is missing in the log`, 1},
		"bad record": {func(s *Store) error {
			return s.db.Set(allKey(nil, 77), []byte("this is no record of this store"), nil)
		}, `revision `, 1},
		"bad records": {func(s *Store) error {
			for p := uint64(70); p < 90; p++ {
				if err := s.db.Set(allKey(nil, p), []byte("this is no record of this store"), nil); err != nil {
					return err
				}
			}
			return s.db.Delete(allKey(nil, s.Visible()), nil)
		}, `revision `, 21},
		"too much": {func(s *Store) error {
			return s.db.DeleteRange(allKey(nil, 100), allKey(nil, 400), nil)
		}, `and perhaps more`, mostDamage},
		"head": {func(s *Store) error { return s.db.Delete(headKey(nil, "s-3"), nil) }, `stream "s-3", revision 0: the stream has events and no head`, 1},
		"stale head": {func(s *Store) error {
			return s.db.Set(headKey(nil, "s-3"), (&head{last: 3, pos: 60}).encode(nil, "s-3"), nil)
		}, `stream "s-3", revision 3`, 1},
		"scavenged": {func(s *Store) error {
			return s.db.Set(headKey(nil, "s-3"), (&head{last: 39, first: 2, pos: 60}).encode(nil, "s-3"), nil)
		}, `stream "s-3", revision 0: position `, 1},
		"other's entry": {func(s *Store) error { return s.db.Set(streamKey(nil, "s-3", 5), []byte{0, 0, 0, 0, 0, 0, 0, 9}, nil) },
			`stream "s-3", revision 5: position 9: another event is there`, 1},
		"short entry": {func(s *Store) error { return s.db.Set(streamKey(nil, "s-3", 5), []byte{0}, nil) }, `stream "s-3", revision 5: its index entry`, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fs, _ := filled(t)
			s, err := Open(Config{Dir: "data", FS: fs})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := tt.damage(s); err != nil {
				t.Fatal(err)
			}
			_, err = s.Verify(t.Context())
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var found *DamageError
			if !errors.As(err, &found) || !errors.Is(err, ErrCorrupt) {
				t.Fatalf("verify: %v", err)
			}
			if len(found.Found) != tt.count || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("found %d, want %d with %q: %v", len(found.Found), tt.count, tt.want, err)
			}
		})
	}
}

// TestArchive restores an archive as it is, and refuses it damaged or cut short anywhere.
func TestArchive(t *testing.T) {
	t.Parallel()
	fs, _ := filled(t)
	s, err := Open(Config{Dir: "data", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var archive bytes.Buffer
	m, err := s.WriteArchive(t.Context(), &archive)
	if err != nil {
		t.Fatal(err)
	}
	if names, err := fs.List("data"); err != nil || slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, sendingPrefix) }) {
		t.Errorf("the data directory holds %v %v", names, err)
	}
	want := contents(t, s)
	restore := func(dir string, b []byte) (Report, error) {
		if err := writeFile(fs, "", dir+".tar", append([]byte(nil), b...)); err != nil {
			t.Fatal(err)
		}
		return Restore(t.Context(), dir+".tar", Config{Dir: dir, FS: fs})
	}
	report, err := restore("restored", archive.Bytes())
	if err != nil || report.Events != m.Position+1 || report.Incarnation == m.Incarnation {
		t.Fatalf("%+v %v", report, err)
	}
	r, err := Open(Config{Dir: "restored", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for p, text := range contents(t, r) {
		if p <= m.Position && want[p] != text {
			t.Errorf("position %d was restored as something else", p)
		}
	}
	if err := fs.MkdirAll("full", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(fs, "full", "x", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := restore("full", archive.Bytes()); err == nil {
		t.Error("restored over a directory with something in it")
	}
	if err := fs.MkdirAll("empty", 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := restore("empty", archive.Bytes()); err != nil {
		t.Errorf("restored to an empty directory: %v", err)
	}
	if got, err := UnpackArchive(t.Context(), fs, bytes.NewReader(archive.Bytes()), "unpacked"); err != nil || len(got.Files) != len(m.Files) {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := Restore(t.Context(), "unpacked", Config{Dir: "again", FS: fs}); err != nil {
		t.Errorf("restored from what was unpacked: %v", err)
	}
	whole := archive.Bytes()
	for i := 0; i < len(whole); i += len(whole)/200 + 1 {
		if _, err := CheckArchive(t.Context(), bytes.NewReader(whole[:i])); err == nil {
			t.Errorf("cut short to %d of %d bytes it was taken for whole", i, len(whole))
		}
	}
	if _, err := restore("cut", whole[:len(whole)/2]); err == nil {
		t.Error("half an archive was restored")
	}
	bad := append([]byte(nil), whole...)
	bad[len(bad)/3] ^= 1 // in a table or in the log
	if _, err := restore("bad", bad); err == nil {
		t.Error("a damaged archive was restored")
	}
	if _, err := UnpackArchive(t.Context(), fs, bytes.NewReader(bad), "bad"); err == nil {
		t.Error("a damaged archive was unpacked")
	}
	for _, dir := range []string{"cut", "cut.restoring", "bad", "bad.partial", "bad.restoring"} {
		if _, err := fs.Stat(dir); err == nil {
			t.Errorf("%s was left behind", dir)
		}
	}
}

// TestForeignArchive: names in an archive stay in the directory.
func TestForeignArchive(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"../x", "/x", "a/b", "..", ""} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: 1}); err != nil {
			t.Fatal(err)
		}
		w.Write([]byte("x"))
		w.Close()
		if _, err := UnpackArchive(t.Context(), vfs.NewMem(), &b, "dir"); err == nil || strings.Contains(err.Error(), "cut short") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestSweep: what a killed process left of an archive goes away with the next start.
func TestSweep(t *testing.T) {
	t.Parallel()
	fs, _ := filled(t)
	if err := fs.MkdirAll("data/"+sendingPrefix+"1", 0o755); err != nil {
		t.Fatal(err)
	}
	opened(t, fs)
	if names, err := fs.List("data"); err != nil || slices.Contains(names, sendingPrefix+"1") {
		t.Errorf("%v %v", names, err)
	}
}
