// Package secrets makes and reads what an installation must keep to itself: the key of the digests of
// requests, the key that wraps the keys of personal data, the passwords of the embedded Postgres and event store.
//
// Each is one file, mode 0600, in a directory of mode 0700. A file is made whole, under another name, and then
// linked into place: of two processes that start at once one wins and both read what it wrote; a crash leaves
// either no secret or all of it. An existing file is never written again.
package secrets

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// KeyBytes is the length of every key made here.
const KeyBytes = 32

// Config says where the secrets lie. A path that is empty is the usual name in Dir; one that is given must exist,
// and may be readable by others (as mounted secrets are).
type Config struct {
	Dir              string // made, mode 0700, if anything has to be made in it
	InstallationKey  string // default installation.key
	KeyEncryptionKey string // default key-encryption.key
	PostgresPassword string // the superuser's, default postgres.password
}

// Secrets is everything read.
type Secrets struct {
	// InstallationKey is the HMAC key of the digests of requests. It never changes: a digest made with another
	// one would call every repeated request a different one.
	InstallationKey []byte
	// KeyEncryptionKeys wrap the keys of personal data. The first wraps; those after it only unwrap, so the key is
	// changed by writing a new first line above the old one.
	KeyEncryptionKeys [][]byte
	// Postgres names the files of the passwords of the embedded Postgres.
	Postgres Postgres
}

// Postgres is the files with the passwords of the embedded Postgres: the superuser's, the owner's (a passfile, which other processes
// take from its connection string) and the readers'. The server makes those of the two roles.
type Postgres struct {
	Superuser, Owner, Reader string
}

// Need says which secrets a process uses. It reads, and makes, no others.
type Need uint8

// The secrets of Config.
const (
	InstallationKey Need = 1 << iota
	KeyEncryptionKey
	PostgresPassword
)

// Load reads the secrets that are needed, and makes those of them that are missing and were not given by path. The others are empty.
func Load(cfg Config, need Need) (s Secrets, err error) {
	if need&InstallationKey != 0 {
		installation, err := keys(cfg.Dir, cfg.InstallationKey, "installation.key")
		if err != nil {
			return Secrets{}, fmt.Errorf("installation key: %w", err)
		}
		if len(installation) != 1 {
			return Secrets{}, fmt.Errorf("installation key: %d keys where one is meant", len(installation))
		}
		s.InstallationKey = installation[0]
	}
	if need&KeyEncryptionKey != 0 {
		if s.KeyEncryptionKeys, err = keys(cfg.Dir, cfg.KeyEncryptionKey, "key-encryption.key"); err != nil {
			return Secrets{}, fmt.Errorf("key-encryption key: %w", err)
		}
	}
	if need&PostgresPassword != 0 {
		s.Postgres = Postgres{cfg.PostgresPassword, filepath.Join(cfg.Dir, "postgres-owner.pgpass"), filepath.Join(cfg.Dir, "postgres-reader.password")}
		if s.Postgres.Superuser == "" {
			s.Postgres.Superuser = filepath.Join(cfg.Dir, "postgres.password")
			_, err = Text(s.Postgres.Superuser)
		} else {
			_, err = given(s.Postgres.Superuser)
		}
		if err != nil {
			return Secrets{}, fmt.Errorf("password of Postgres: %w", err)
		}
	}
	return s, nil
}

func keys(dir, path, usual string) ([][]byte, error) {
	var text string
	var err error
	if path != "" {
		text, err = given(path)
	} else {
		path = filepath.Join(dir, usual)
		text, err = Text(path)
	}
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for line := range strings.Lines(text) {
		key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(line))
		if err != nil || len(key) != KeyBytes {
			return nil, fmt.Errorf("%s: line %d is not %d bytes in base64", path, len(out)+1, KeyBytes)
		}
		out = append(out, key)
	}
	return out, nil
}

// Text reads the secret text at path, or makes a random one of 256 bits there if there is no such file.
func Text(path string) (string, error) {
	return keep(path, func() ([]byte, error) { return random(), nil })
}

// random is a line of 256 random bits.
func random() []byte {
	bits := make([]byte, KeyBytes)
	_, _ = rand.Read(bits) // never fails
	return []byte(base64.StdEncoding.EncodeToString(bits) + "\n")
}

// keep reads the secret at path, or has it made if there is no such file.
func keep(path string, fresh func() ([]byte, error)) (string, error) {
	text, err := read(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return text, err
	}
	content, err := fresh()
	if err == nil {
		err = create(path, content)
	}
	if err != nil {
		return "", fmt.Errorf("make secret %s: %w", path, err)
	}
	return read(path)
}

// given reads a file whose mode is the giver's business: secrets mounted into a container can often be read by all.
func given(path string) (string, error) {
	b, err := os.ReadFile(path) //nolint:gosec // the operator names it
	if err != nil {
		return "", err
	}
	if b = bytes.TrimSpace(b); len(b) == 0 {
		return "", fmt.Errorf("%s is empty", path)
	}
	return string(b), nil
}

// Passfile reads the password of a user from a passfile of libpq, which clients take by its name, or makes a file with a random one.
func Passfile(path, user string) (string, error) {
	line := "*:*:*:" + user + ":"
	text, err := keep(path, func() ([]byte, error) { return append([]byte(line), random()...), nil })
	if err != nil {
		return "", err
	}
	password, ok := strings.CutPrefix(text, line)
	if !ok || password == "" || strings.ContainsAny(password, ":\\\n") {
		return "", fmt.Errorf("%s is not one line %sPASSWORD", path, line)
	}
	return password, nil
}

// read reads a file of ours.
func read(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s can be read by others (mode %04o): chmod 600 it", path, info.Mode().Perm())
	}
	return given(path)
}

// create links a whole file to path. That somebody else was first is not an error: theirs is the secret then.
func create(path string, content []byte) error {
	dir := filepath.Dir(path)
	if err := makeDir(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".making-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(content)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(dir)
}

// makeDir is os.MkdirAll that survives a power cut: keys that are gone while the data they opened is not, are the
// worst that can happen here. Directories above it are open: Postgres' own user walks through them to its data.
func makeDir(dir string, mode os.FileMode) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if err := makeDir(parent, 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(dir, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // see above
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
