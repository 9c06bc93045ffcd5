package standalone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/daybook-dev/daybook/internal/eventserver/store"
	"github.com/daybook-dev/daybook/internal/wholefile"
)

// Backup writes a backup of a store, compares what was written with its description, and describes it. To is "-" for an archive on out,
// a file's name ending in .tar for an archive, else a directory, which must be absent or empty. A backup that bears its
// name is whole.
func Backup(ctx context.Context, s Store, to string, out io.Writer) (m store.Manifest, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := s.Archive(ctx, w)
		_ = w.CloseWithError(err) // nil: the end
		ended <- err
	}()
	switch {
	case to == "-":
		m, err = store.CheckArchive(ctx, io.TeeReader(in, out))
	case strings.HasSuffix(to, ".tar"):
		m, err = saveArchive(ctx, in, to)
	default:
		m, err = store.UnpackArchive(ctx, vfs.Default, in, filepath.Clean(to))
	}
	if err == nil {
		_, err = io.Copy(trailing(to, out), in) // an archive ends in zeros
	}
	_ = in.CloseWithError(err)
	if sent := <-ended; sent != nil && !errors.Is(err, sent) && !errors.Is(sent, io.ErrClosedPipe) && (err == nil || !errors.Is(sent, err)) {
		err = errors.Join(sent, err)
	}
	return m, err
}

func trailing(to string, out io.Writer) io.Writer {
	if to == "-" {
		return out
	}
	return io.Discard
}

func saveArchive(ctx context.Context, in io.Reader, to string) (m store.Manifest, err error) {
	if _, err := os.Lstat(to); err == nil {
		return m, fmt.Errorf("back up to %s: it exists already", to)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
		return m, fmt.Errorf("back up: %w", err)
	}
	err = wholefile.Fill(to, func(w io.Writer) (err error) {
		all := io.TeeReader(in, w)
		if m, err = store.CheckArchive(ctx, all); err == nil {
			_, err = io.Copy(io.Discard, all)
		}
		return err
	})
	if err != nil {
		return m, fmt.Errorf("back up: %w", err)
	}
	return m, nil
}
