package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/daybook-dev/daybook/internal/filelock"
	"github.com/daybook-dev/daybook/internal/wholefile"
)

// Addresses are where everything of a running system is: what run.json holds.
type Addresses struct {
	API             string `json:"api,omitempty"`
	CommandAPI      string `json:"command_api,omitempty"`
	QueryAPI        string `json:"query_api,omitempty"`
	Admin           string `json:"admin,omitempty"`
	EventStore      string `json:"eventstore,omitempty"`
	Kafka           string `json:"kafka,omitempty"`
	Postgres        string `json:"postgres,omitempty"`
	PaymentProvider string `json:"payment_provider,omitempty"`
	PID             int    `json:"pid,omitempty"`
}

// RunFile is where a data directory's addresses stand.
func RunFile(dataDir string) string { return filepath.Join(dataDir, "run.json") }

// ReadAddresses gives the addresses of the system that runs on a data directory. None running is fs.ErrNotExist:
// what a crash left behind is not believed, nor even read, because its locks are gone.
func ReadAddresses(dataDir string) (Addresses, error) {
	var a Addresses
	b, err := os.ReadFile(RunFile(dataDir))
	if err != nil {
		return a, fmt.Errorf("find a running system: %w", err)
	}
	switch lock, err := filelock.Try(aliveFile(dataDir)); {
	case err == nil:
		lock.Release()
		return Addresses{}, fmt.Errorf("find a running system: the process of %s is gone: %w", RunFile(dataDir), fs.ErrNotExist)
	case !errors.Is(err, filelock.ErrHeld):
		return Addresses{}, err
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return Addresses{}, fmt.Errorf("read %s: %w", RunFile(dataDir), err)
	}
	return a, nil
}

// aliveFile is locked, shared, by every process that has published addresses, for as long as it lives.
func aliveFile(dataDir string) string { return filepath.Join(dataDir, "run.alive") }

// publish writes this process' addresses over what stands there, whole or not at all, and gives the way to take them back.
func publish(dataDir string, own Addresses) (withdraw func(), err error) {
	lock, err := filelock.Wait(RunFile(dataDir) + ".lock")
	if err != nil {
		return nil, err
	}
	defer lock.Release()
	before, err := ReadAddresses(dataDir)
	if err != nil {
		before = Addresses{}
	}
	alive, err := filelock.Share(aliveFile(dataDir))
	if err != nil {
		return nil, err
	}
	if err := writeAddresses(dataDir, merge(before, own)); err != nil {
		alive.Release()
		return nil, err
	}
	return func() {
		lock, err := filelock.Wait(RunFile(dataDir) + ".lock")
		if err != nil {
			return
		}
		defer lock.Release()
		alive.Release()
		others, err := ReadAddresses(dataDir)
		if err != nil {
			_ = os.Remove(RunFile(dataDir))
			return
		}
		_ = writeAddresses(dataDir, without(others, own))
	}, nil
}

func writeAddresses(dataDir string, a Addresses) error {
	b, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return fmt.Errorf("encode addresses: %w", err)
	}
	if err := wholefile.Write(RunFile(dataDir), append(b, '\n')); err != nil {
		return fmt.Errorf("publish the addresses of this process: %w", err)
	}
	return nil
}

func (a *Addresses) fields() []*string {
	return []*string{&a.API, &a.CommandAPI, &a.QueryAPI, &a.Admin, &a.EventStore, &a.Kafka, &a.Postgres, &a.PaymentProvider}
}

// merge puts a process' own addresses beside those of the one that was first, whose pid stays.
func merge(before, own Addresses) Addresses {
	out, add := before, own.fields()
	for i, f := range out.fields() {
		if *add[i] != "" {
			*f = *add[i]
		}
	}
	if out.PID == 0 {
		out.PID = own.PID
	}
	return out
}

func without(now, own Addresses) Addresses {
	out, gone := now, own.fields()
	for i, f := range out.fields() {
		if *f == *gone[i] {
			*f = ""
		}
	}
	return out
}
