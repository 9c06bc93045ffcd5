package secrets_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-dev/daybook/internal/postgres/postgrestest"
	"github.com/daybook-dev/daybook/internal/secrets"
)

func TestMadeOnceForAll(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "secrets")
	all := make([]secrets.Secrets, 16)
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			var err error
			if all[i], err = secrets.Load(secrets.Config{Dir: dir}, everything); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, s := range all[1:] {
		if d := cmp.Diff(all[0], s); d != "" {
			t.Fatalf("two processes have other secrets: %s", d)
		}
	}
	s := all[0]
	if len(s.InstallationKey) != secrets.KeyBytes || len(s.KeyEncryptionKeys) != 1 || bytes.Equal(s.InstallationKey, s.KeyEncryptionKeys[0]) {
		t.Errorf("keys %+v", s)
	}
	mode(t, dir, 0o700)
	mode(t, filepath.Dir(dir), 0o755)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Fatalf("%d files: %v", len(entries), err) // nothing half made is left
	}
	for _, e := range entries {
		mode(t, filepath.Join(dir, e.Name()), 0o600)
	}
	other, err := secrets.Load(secrets.Config{Dir: filepath.Join(t.TempDir(), "secrets")}, everything)
	if err != nil || bytes.Equal(other.InstallationKey, s.InstallationKey) {
		t.Errorf("another installation has the same key: %v", err)
	}
}

// A process that comes while another is still making a secret gets that one, not one that is replaced a moment later.
func TestNoSecretIsReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for round := range 40 {
		path := filepath.Join(dir, strconv.Itoa(round))
		var got [8]string
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() {
				var err error
				if got[i], err = secrets.Text(path); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, text := range got {
			if text != got[0] {
				t.Fatalf("round %d: %q", round, got)
			}
		}
	}
}

func TestGivenByPath(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	line := func(b byte) string {
		return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, secrets.KeyBytes)) + "\n"
	}
	kek := write(t, filepath.Join(dir, "kek"), line(2)+line(1), 0o644) // mounted secrets are often readable by all
	s, err := secrets.Load(secrets.Config{Dir: filepath.Join(dir, "secrets"), KeyEncryptionKey: kek}, everything)
	if err != nil || len(s.KeyEncryptionKeys) != 2 || s.KeyEncryptionKeys[0][0] != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := secrets.Load(secrets.Config{Dir: dir, InstallationKey: filepath.Join(dir, "absent")}, everything); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a given file that is absent must not be made: %v", err)
	}
	if _, err := secrets.Load(secrets.Config{Dir: dir, PostgresPassword: filepath.Join(dir, "absent")}, everything); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a given password that is absent must not be made: %v", err)
	}
}

func TestBadFilesAreRefusedAndKept(t *testing.T) {
	t.Parallel()
	good := base64.StdEncoding.EncodeToString(make([]byte, secrets.KeyBytes))
	for name, c := range map[string]struct {
		content string
		mode    os.FileMode
		says    string
	}{
		"empty":              {"", 0o600, "empty"},
		"not base64":         {"?" + good[1:], 0o600, "line 1"},
		"short":              {good[:8], 0o600, "32 bytes"},
		"two":                {good + "\n" + good, 0o600, "2 keys"},
		"readable by others": {good, 0o644, "chmod 600"},
	} {
		dir := t.TempDir()
		path := write(t, filepath.Join(dir, "installation.key"), c.content, c.mode)
		_, err := secrets.Load(secrets.Config{Dir: dir}, everything)
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "installation key") {
			t.Errorf("%s: %v", name, err)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != c.content {
			t.Errorf("%s: now %q, %v", name, b, err)
		}
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	a, b, c := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32), bytes.Repeat([]byte{3}, 32)
	if err := secrets.Verify(t.Context(), pool, secrets.Installation, a); err != nil {
		t.Fatal(err)
	}
	if err := secrets.Verify(t.Context(), pool, secrets.Installation, a); err != nil {
		t.Errorf("again: %v", err)
	}
	err := secrets.Verify(t.Context(), pool, secrets.Installation, b)
	if !errors.Is(err, secrets.ErrOther) || !strings.Contains(err.Error(), secrets.Installation) {
		t.Errorf("another: %v", err)
	}
	if err := secrets.Verify(t.Context(), pool, secrets.KeyEncryption, b); err != nil {
		t.Errorf("another kind: %v", err)
	}
	if err := secrets.Verify(t.Context(), pool, secrets.KeyEncryption, c, b); err != nil {
		t.Errorf("among others: %v", err)
	}
	if err := secrets.Replace(t.Context(), pool, secrets.KeyEncryption, c); !errors.Is(err, secrets.ErrOther) {
		t.Errorf("replaced without the old one: %v", err)
	}
	if err := secrets.Replace(t.Context(), pool, secrets.KeyEncryption, c, b); err != nil {
		t.Fatal(err)
	}
	if err := secrets.Verify(t.Context(), pool, secrets.KeyEncryption, b); !errors.Is(err, secrets.ErrOther) {
		t.Errorf("the replaced one: %v", err)
	}
	if err := secrets.Verify(t.Context(), pool, secrets.KeyEncryption, c); err != nil {
		t.Error(err)
	}
}

// Two processes with secrets of their own meet on one new Postgres: one of them is refused.
func TestVerifyAtOnce(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			errs[i] = secrets.Verify(t.Context(), pool, secrets.Installation, bytes.Repeat([]byte{byte(i)}, 32))
		})
	}
	wg.Wait()
	refused := 0
	for _, err := range errs {
		if errors.Is(err, secrets.ErrOther) {
			refused++
		} else if err != nil {
			t.Error(err)
		}
	}
	if refused != len(errs)-1 {
		t.Errorf("%d of %d refused", refused, len(errs))
	}
}

func write(t *testing.T, path, content string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func mode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != want {
		t.Errorf("%s: mode %v, want %v: %v", path, info.Mode(), want, err)
	}
}

const everything = secrets.InstallationKey | secrets.KeyEncryptionKey | secrets.PostgresPassword

// A process reads, and makes, only what it needs.
func TestOnlyWhatIsNeededIsRead(t *testing.T) {
	files := map[secrets.Need]string{secrets.InstallationKey: "installation.key", secrets.KeyEncryptionKey: "key-encryption.key", secrets.PostgresPassword: "postgres.password"}
	for need := range everything + 1 {
		dir := t.TempDir()
		s, err := secrets.Load(secrets.Config{Dir: dir}, need)
		if err != nil {
			t.Fatal(err)
		}
		for one, file := range files {
			_, err := os.Stat(filepath.Join(dir, file))
			if made := err == nil; made != (need&one != 0) {
				t.Errorf("need %03b: %s made: %t", need, file, made)
			}
		}
		if (s.InstallationKey != nil) != (need&secrets.InstallationKey != 0) || (s.KeyEncryptionKeys != nil) != (need&secrets.KeyEncryptionKey != 0) || (s.Postgres != secrets.Postgres{}) != (need&secrets.PostgresPassword != 0) {
			t.Errorf("need %03b: read %+v", need, s)
		}
	}
}
