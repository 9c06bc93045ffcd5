package store

import (
	"fmt"
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
	m, err := s.Backup("backup")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Backup("backup"); err == nil {
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
	m, err := s.Backup("backup")
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

// TestVerifyFindsWhatReadingDoesNot takes single entries out of the key space, as no honest failure does.
func TestVerifyFinds(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(s *Store) error{
		"nothing":     func(*Store) error { return nil },
		"index entry": func(s *Store) error { return s.db.Delete(streamKey(nil, "s-3", 5), nil) },
		"last entry":  func(s *Store) error { return s.db.Delete(streamKey(nil, "s-3", 39), nil) },
		"record":      func(s *Store) error { return s.db.Delete(allKey(nil, 77), nil) },
		"head":        func(s *Store) error { return s.db.Delete(headKey(nil, "s-3"), nil) },
		"stale head": func(s *Store) error {
			return s.db.Set(headKey(nil, "s-3"), (&head{last: 3, pos: 60}).encode(nil, "s-3"), nil)
		},
		"other's entry": func(s *Store) error { return s.db.Set(streamKey(nil, "s-3", 5), []byte{0, 0, 0, 0, 0, 0, 0, 9}, nil) },
		"short entry":   func(s *Store) error { return s.db.Set(streamKey(nil, "s-3", 5), []byte{0}, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fs, _ := filled(t)
			s, err := Open(Config{Dir: "data", FS: fs})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := damage(s); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Verify(t.Context()); (err != nil) != (name != "nothing") {
				t.Errorf("verify: %v", err)
			}
		})
	}
}
