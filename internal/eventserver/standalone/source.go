package standalone

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/daybook-dev/daybook/internal/eventserver/store"
	"github.com/daybook-dev/daybook/kit/eventserver"
)

// Store is an event store to be looked after.
type Store interface {
	// Archive writes a backup, as a tar archive.
	Archive(ctx context.Context, w io.Writer) error
	// Verify reads everything. Damage is a *store.DamageError.
	Verify(ctx context.Context) (store.Report, error)
	// Scavenge removes what is hidden for good.
	Scavenge(ctx context.Context) (store.Scavenged, error)
	// Dump writes events as NDJSON and says how many.
	Dump(ctx context.Context, w io.Writer, o store.DumpOptions) (uint64, error)
	// Import adds NDJSON. Its error is a *store.LineError where a line is to blame.
	Import(ctx context.Context, r io.Reader, o store.ImportOptions) (store.Imported, error)
	// Close ends it.
	Close() error
}

// Directory is the data directory of a server that does not run.
type Directory string

// Archive implements Store.
func (d Directory) Archive(ctx context.Context, w io.Writer) error {
	_, err := eventserver.WriteArchive(ctx, string(d), w)
	return err
}

// Verify implements Store.
func (d Directory) Verify(ctx context.Context) (store.Report, error) {
	return eventserver.Verify(ctx, string(d))
}

// Scavenge implements Store.
func (d Directory) Scavenge(ctx context.Context) (store.Scavenged, error) {
	return eventserver.Scavenge(ctx, string(d))
}

// Dump implements Store.
func (d Directory) Dump(ctx context.Context, w io.Writer, o store.DumpOptions) (uint64, error) {
	return eventserver.Dump(ctx, string(d), w, o)
}

// Import implements Store; the directory is made if there is none.
func (d Directory) Import(ctx context.Context, r io.Reader, o store.ImportOptions) (store.Imported, error) {
	return eventserver.Import(ctx, r, string(d), o)
}

// Close implements Store.
func (Directory) Close() error { return nil }

// Target says which store is meant: exactly one of Dir and Connection.
type Target struct {
	Dir        string // of a stopped server
	Connection string // esdb://…, or unix:///path of a server's socket
	User       string // beside Connection; empty: the one in it
	Password   string
}

// Open gives the store. Nothing is connected to or opened before it is needed.
func (t Target) Open() (Store, error) {
	switch {
	case (t.Dir == "") == (t.Connection == ""):
		return nil, errors.New("say which event store: --data-dir of a stopped one, or --eventstore of a running one")
	case t.Dir != "":
		return Directory(t.Dir), nil
	}
	r, err := Connect(t)
	if err != nil {
		return nil, fmt.Errorf("event store: %w", err)
	}
	return r, nil
}
