package filelock_test

import (
	"errors"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/daybook-dev/daybook/internal/filelock"
)

func TestOneHolds(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	l, err := filelock.Try(path)
	if err != nil || l.Former() != 0 {
		t.Fatal(l.Former(), err)
	}
	if _, err := filelock.Try(path); !errors.Is(err, filelock.ErrHeld) {
		t.Errorf("held, and taken again: %v", err)
	}
	if pid := filelock.Holder(path); pid != os.Getpid() {
		t.Errorf("held by %d", pid)
	}
	l.Release()
	l, err = filelock.Try(path)
	if err != nil || l.Former() != os.Getpid() {
		t.Fatalf("released, and not to be taken: former %d, %v", l.Former(), err)
	}
	waits := make(chan error, 1)
	go func() {
		l, err := filelock.Wait(path)
		if err == nil {
			l.Release()
		}
		waits <- err
	}()
	l.Release()
	if err := <-waits; err != nil {
		t.Error(err)
	}
}

func TestSeveralShare(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	a, err := filelock.Share(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := filelock.Share(path)
	if err != nil {
		t.Fatal(err)
	}
	a.Release()
	if _, err := filelock.Try(path); !errors.Is(err, filelock.ErrHeld) {
		t.Errorf("shared, and taken: %v", err)
	}
	b.Release()
	l, err := filelock.Try(path)
	if err != nil {
		t.Fatal(err)
	}
	l.Release()
}

// A child has the file open from its fork until it has become its program. Here it keeps it for as long as it lives.
func TestReleasedThoughAChildHasTheFileOpen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	l, err := filelock.Try(path)
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), "cat")
	child.ExtraFiles = []*os.File{filelock.File(l)}
	in, err := child.StdinPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	l.Release()
	again, err := filelock.Try(path)
	if err != nil {
		t.Fatal(err)
	}
	again.Release()
	_ = in.Close()
	if err := child.Wait(); err != nil {
		t.Error(err)
	}
}

// All locks of the product are these.
func TestNothingElseCallsFlock(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	err = filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && file != root || d.Name() == "testenv" || d.Name() == "filelock"):
			return filepath.SkipDir
		case !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go"):
			return nil
		}
		files++
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if _, err := parser.ParseFile(token.NewFileSet(), file, b, parser.PackageClauseOnly); err != nil {
			return err
		}
		if strings.Contains(string(b), ".Flock(") {
			t.Errorf("%s calls flock by itself", file)
		}
		return nil
	})
	if err != nil || files < 100 {
		t.Fatalf("%d files were read: %v", files, err)
	}
}
